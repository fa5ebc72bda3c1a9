package streaming

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// Options are the settings of a server. Zero values mean defaults.
type Options struct {
	// Engine holds the settings of the layer below.
	Engine engineio.Options
	// ConnectTimeout is how long a client may be connected without having
	// connected to a namespace. Default: DefaultConnectTimeout.
	ConnectTimeout time.Duration
	// Limits bound what one client may take.
	Limits Limits
	// Adapter, when not nil, makes the adapter of a namespace: what brings it
	// together with the same namespace of other processes. It may use what it is
	// given at once. A namespace that has none when there was none to be had gets
	// its own when there is one, and loses it when there is none any more.
	Adapter func(Local) (Adapter, error)
	// Recovery is what is kept for clients whose connection is cut, so that they go on when they are
	// back. The zero value is nothing. Lag follows from the other options.
	Recovery recovery.Options
}

// DefaultConnectTimeout is the default of [Options.ConnectTimeout].
const DefaultConnectTimeout = 45 * time.Second

// Server is a Socket.IO server. Use [New]; end it with Close.
type Server struct {
	engine         *engineio.Server
	logger         *slog.Logger
	runners        *runners
	connectTimeout atomic.Int64
	// talkPatience is the constant, unless a test has another.
	talkPatience time.Duration
	limits       atomic.Pointer[Limits]
	limited      limitCounts
	// roomsLimit is how many bytes of memory the rooms of a namespace may take, see modestRooms. Zero is
	// no limit.
	roomsLimit    atomic.Int64
	namespaceBits namespaceBits
	// refusals limits the lines about clients that a namespace refuses, failures
	// those about handlers that have failed, unrecovered those about clients that were not recovered, kicks those
	// about clients that were kicked.
	refusals, failures, unrecovered, kicks *logline.Limiter
	taps                                   taps
	// ctx ends with the server, by end. ending is true from the moment on when
	// the server is going down.
	ctx    context.Context
	end    context.CancelCauseFunc
	ending atomic.Bool
	// keeps is true while the server ends and sockets wait for the process that comes next.
	keeps atomic.Bool
	// inboxes is how many sockets have handlers that have not ended, or may still
	// get some to run.
	inboxes atomic.Int64
	// auth is who the clients are.
	auth grants
	// recovery is what is kept for clients that come back.
	recovery recovery.Store

	mu         sync.RWMutex
	namespaces map[string]*Namespace
	// adapter makes adapters, see Options.
	adapter func(Local) (Adapter, error)
	// ended is true once the adapters are closed.
	ended bool
	// counts has those of each namespace there ever was, see Metrics.
	counts map[string]*namespaceCounts

	invalidNamespaces, notAuthorized atomic.Int64
}

// New returns a server without namespaces. logger may be nil.
func New(options Options, logger *slog.Logger) *Server {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		logger: logger, runners: newRunners(), namespaces: make(map[string]*Namespace), refusals: newRefusals(logger),
		talkPatience: talkPatience,
	}
	s.failures, s.unrecovered, s.kicks = newFailures(logger), newUnrecovered(logger), newKicks(logger)
	s.ctx, s.end = context.WithCancelCause(context.Background())
	s.auth.init(s.ctx, logger)
	s.limits.Store(options.Limits.withDefaults())
	s.engine = engineio.New(options.Engine, s.accept, logger)
	s.SetOptions(options)
	return s
}

// CountWith makes the limits of addresses count the clients of another server too, which this one
// takes the place of. It must be called before a client comes.
func (s *Server) CountWith(other *Server) { s.engine.CountWith(other.engine) }

// SetOptions changes the options for clients that come from now on.
func (s *Server) SetOptions(options Options) {
	if options.ConnectTimeout == 0 {
		options.ConnectTimeout = DefaultConnectTimeout
	}
	s.connectTimeout.Store(int64(options.ConnectTimeout))
	s.limits.Store(options.Limits.withDefaults())
	s.roomsLimit.Store(options.Engine.ServerBuffer / roomsPart)
	s.engine.SetOptions(options.Engine)
	s.setAdapter(options.Adapter)
	s.setRecovery(options)
}

// Of returns the namespace of that name, which must begin with a slash, and
// makes it if it is not there. A new one lets everyone in until it is given
// event sets: where clients may be connecting already, see [Server.Use]. One
// whose adapter cannot be made, which is logged, is of this process alone.
func (s *Server) Of(name string) *Namespace {
	if n := s.namespace(name); n != nil {
		return n
	}
	made, err := s.newNamespace(name)
	if err != nil {
		s.logger.Error("namespace without an adapter", "namespace", name, "error", err)
	}
	return s.install(made)
}

// Use gives the namespace of that name its event sets, see [Namespace.Use]. A
// namespace that is not there is made; no client finds it before it has them.
func (s *Server) Use(name string, sets ...EventSet) (*Namespace, error) {
	if n := s.namespace(name); n != nil {
		return n, n.Use(sets...)
	}
	made, err := s.newNamespace(name)
	if err != nil {
		return nil, err
	}
	if err := made.Use(sets...); err != nil {
		made.detach()
		return nil, err
	}
	if n := s.install(made); n != made {
		// Somebody else was faster.
		return n, n.Use(sets...)
	}
	return made, nil
}

// newNamespace makes a namespace that nobody can find yet. With the error of
// its adapter it has none.
func (s *Server) newNamespace(name string) (*Namespace, error) {
	s.mu.Lock()
	n := &Namespace{
		name: name, server: s, rooms: newRooms(), bit: s.namespaceBits.of(name), counts: s.countsOf(name),
	}
	n.rooms.log.Store(s.recovery.NewLog())
	create := s.adapter
	if s.ended {
		create = nil
	}
	s.mu.Unlock()
	n.handlers.Store(&Handlers{})
	if create == nil {
		return n, nil
	}
	return n, n.attach(create)
}

// install lets a namespace be found, unless there is one of its name already.
// It returns the one that is found.
func (s *Server) install(made *Namespace) *Namespace {
	s.mu.Lock()
	n := s.namespaces[made.name]
	if n == nil {
		n = made
		s.namespaces[made.name] = made
	}
	ended := s.ended
	s.mu.Unlock()
	if n != made || ended {
		made.detach()
	}
	return n
}

// takeLeave has the adapters closed as soon as the handlers of all sockets have
// ended. It does not wait. Namespaces that are yet to come have no adapter.
func (s *Server) takeLeave() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	for _, n := range s.Namespaces() {
		n.takeLeave()
	}
}

// detach is takeLeave that waits: until ctx ends, and then closes them anyway.
func (s *Server) detach(ctx context.Context) {
	s.takeLeave()
	for _, n := range s.Namespaces() {
		r := n.remote.Load()
		if r == nil {
			continue
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			n.detach()
		}
	}
}

// Namespaces lists the namespaces.
func (s *Server) Namespaces() []*Namespace {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]*Namespace, 0, len(s.namespaces))
	for _, n := range s.namespaces {
		list = append(list, n)
	}
	return list
}

// Remove closes a namespace: its sockets are disconnected, and nobody can
// connect to it any more. It returns how many sockets there were.
func (s *Server) Remove(name string) (sockets int) {
	s.mu.Lock()
	n := s.namespaces[name]
	delete(s.namespaces, name)
	s.mu.Unlock()
	if n == nil {
		return 0
	}
	n.removed.Store(true)
	if c := n.recheck.Load(); c != nil {
		c.end()
	}
	defer n.takeLeave()
	n.keepNothing()
	list := n.Everyone().Sockets()
	for _, socket := range list {
		socket.Disconnect(false)
	}
	return len(list)
}

func (s *Server) namespace(name string) *Namespace {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.namespaces[name]
}

// Connections is the number of clients that are connected.
func (s *Server) Connections() int { return s.engine.Sessions() }

// ServeHTTP handles a request of the protocol, see [engineio.Server.ServeHTTP].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request, in engineio.Inbound) error {
	return s.engine.ServeHTTP(w, r, in)
}

// Handler returns the server as a handler of all requests that it gets, see
// [engineio.Server.Handler].
func (s *Server) Handler() http.Handler { return s.engine.Handler() }

// Close refuses new clients and closes the connections of those there are,
// each after what is queued for it. It does not wait for them.
func (s *Server) Close() {
	defer s.takeLeave()
	s.taps.close()
	s.finish()
	s.recovery.Close()
	s.engine.Close(engineio.ReasonShutdown)
	s.runners.close()
}

// Shutdown refuses new clients, closes the connections of those there are as the
// farewell says, and waits until all of them have been told and all handlers of
// their sockets have ended, those of [Handlers.OnDisconnect] among them, or until
// ctx ends. Its error is that of ctx; it says of how many sockets handlers are still
// running. See [engineio.Server.Shutdown]. Clients lose their connection and are not
// disconnected from their namespaces first: after that they would not come back by
// themselves. A handler must not call Shutdown: it would wait for itself.
func (s *Server) Shutdown(ctx context.Context, f engineio.Farewell) error {
	return s.ShutdownAndKeep(ctx, f, nil)
}

// ShutdownAndKeep is Shutdown that hands what is kept for the clients to keep, unless that is nil, when
// all of them have been told, and before their sockets end. It is all that there is: nothing is sent to
// them any more. keep is called if what is kept is to outlive the process, and must not wait for long.
func (s *Server) ShutdownAndKeep(ctx context.Context, f engineio.Farewell, keep func(*Snapshot)) error {
	defer s.refusals.Flush()
	defer s.failures.Flush()
	defer s.unrecovered.Flush()
	defer s.kicks.Flush()
	defer s.auth.flush()
	defer s.runners.close()
	defer s.detach(ctx)
	defer s.taps.close()
	keeps := keep != nil && s.recovery.Outlives()
	s.keeps.Store(keeps)
	s.ending.Store(true)
	if !keeps {
		s.recovery.Close()
	}
	err := s.engine.Shutdown(ctx, f)
	s.finish()
	if keeps {
		keep(s.keepLast(ctx))
		s.keeps.Store(false)
		s.recovery.Close()
		// However long that took.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), lastHandlers)
		defer cancel()
	}
	if unfinished := s.awaitHandlers(ctx); unfinished != nil {
		return unfinished
	}
	return err
}

// lastHandlers is how long is waited for the handlers of sockets that were kept until the end.
const lastHandlers = time.Second

// awaitHandlers waits until the handlers of all sockets have ended. The error is
// that of ctx.
func (s *Server) awaitHandlers(ctx context.Context) error {
	const interval = 5 * time.Millisecond
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		sockets := s.inboxes.Load()
		if sockets == 0 {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("handlers of %d sockets are still running: %w", sockets, ctx.Err())
		}
	}
}

// CloseIf closes the connections of the clients for which end is true, each
// after what is queued for it, and returns how many they were.
func (s *Server) CloseIf(reason Reason, end func(*engineio.Handshake) bool) int {
	return s.engine.CloseIf(reason, end)
}

// Pollers counts the clients on long-polling, see [engineio.Server.Pollers].
func (s *Server) Pollers() (waiting, away int) { return s.engine.Pollers() }

// finish ends what waits for the server to end.
func (s *Server) finish() {
	s.ending.Store(true)
	s.end(ErrServerClosed)
}

// accept attaches a client to a new session.
func (s *Server) accept(session *engineio.Session) engineio.Listener {
	c := &client{server: s, session: session}
	c.wait()
	return c
}

// socketIDBytes is the entropy of a socket's ID: 120 bits, as in the Node.js
// implementation.
const socketIDBytes = 15

// socketIDLength is the length of an ID, in bytes.
const socketIDLength = socketIDBytes * 8 / 6

func newSocketID() string {
	var b [socketIDBytes]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
