package admin

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// tailWriteTimeout is how long one write to somebody who follows may take; lastWriteTimeout is how
// long that of the last line may, when the server that it is written by is to stop.
const (
	tailWriteTimeout = time.Minute
	lastWriteTimeout = time.Second
)

// tail streams events as lines of JSON until the client goes away, the hub ends or the admin
// endpoint is replaced, as it is at each reload.
func (r *request) tail(w http.ResponseWriter) error {
	if isFromAfar(r.Context()) {
		return apiError(http.StatusBadRequest, "only the server itself can be asked what comes and goes there")
	}
	query, err := r.query("payload", "namespace", "event", "socket")
	if err != nil {
		return err
	}
	payload, err := flag(query, "payload")
	if err != nil {
		return err
	}
	for _, name := range []string{"namespace", "event", "socket"} {
		if query.Has(name) && query.Get(name) == "" {
			return apiError(http.StatusBadRequest, "%s is empty: leave it out to follow all", name)
		}
	}
	options := streaming.TapOptions{
		Event: query.Get("event"), Socket: query.Get("socket"), Args: payload, By: asker(r.Request),
	}
	if query.Has("namespace") {
		options.Namespace = namespaceOf(query.Get("namespace"))
		if r.server.Lookup(options.Namespace) == nil {
			return apiError(http.StatusNotFound, "the hub %q has no namespace %q",
				r.hub, options.Namespace)
		}
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", adminapi.Lines)
		return nil
	}
	tap, err := r.server.Tap(options)
	switch {
	case errors.Is(err, streaming.ErrTooManyTaps):
		return apiError(http.StatusTooManyRequests, "too many follow the hub %q already", r.hub)
	case errors.Is(err, streaming.ErrTapsOfOne):
		return apiError(http.StatusTooManyRequests, "too many follow the hub %q already from where you are: "+
			"end one of them, the others are for those elsewhere", r.hub)
	case err != nil:
		return apiError(http.StatusServiceUnavailable, "the hub %q: %v", r.hub, err)
	}
	defer tap.Close()

	t := tailWriter{w: w, control: http.NewResponseController(w)}
	// The server's read timeout counts from the request, and would end the request's context.
	_ = t.control.SetReadDeadline(time.Time{})
	stopping := stopped(r.Request)
	stuck := make(chan struct{})
	defer close(stuck)
	go func() {
		// A write that waits for its reader must not hold up a server that stops.
		select {
		case <-stopping:
		case <-tap.Done():
		case <-stuck:
			return
		}
		t.hurry()
	}()

	header := w.Header()
	header.Set("Content-Type", adminapi.Lines)
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if t.flush() != nil {
		return nil
	}
	for {
		select {
		case e := <-tap.Events():
			tap.Taken(e)
			if t.lost(e.Lost) != nil || t.write(tailLine(e, payload)) != nil {
				return nil
			}
			if len(tap.Events()) == 0 && (t.lost(tap.Lost()) != nil || t.flush() != nil) {
				return nil
			}
		case <-r.Context().Done():
			return nil
		case <-stopping:
			t.end(adminapi.EndReload)
			return nil
		case <-tap.Done():
			t.end(adminapi.EndHub)
			return nil
		}
	}
}

// asker returns where a request comes from: the address without the port, or that it came by a Unix
// socket.
func asker(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "unix"
	}
	return host
}

// tailWriter writes lines to somebody who may not read them.
type tailWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController

	mu       sync.Mutex
	hurrying bool
}

// write writes one line. Its errors mean that there is nobody to read any more.
func (t *tailWriter) write(line adminapi.Line) error {
	encoded, err := json.Marshal(line)
	if err != nil {
		return err
	}
	t.allow(tailWriteTimeout)
	_, err = t.w.Write(append(encoded, '\n'))
	return err
}

// lost tells how many events were missed, if any were.
func (t *tailWriter) lost(events int64) error {
	if events == 0 {
		return nil
	}
	return t.write(adminapi.Line{Time: time.Now().UTC(), Lost: events})
}

// flush brings what was written on its way.
func (t *tailWriter) flush() error {
	t.allow(tailWriteTimeout)
	return t.control.Flush()
}

// end writes the last line.
func (t *tailWriter) end(reason string) {
	if t.write(adminapi.Line{Time: time.Now().UTC(), End: reason}) == nil {
		_ = t.flush()
	}
}

// allow gives what is written next its time, unless there is none left.
func (t *tailWriter) allow(timeout time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.hurrying {
		_ = t.control.SetWriteDeadline(time.Now().Add(timeout))
	}
}

// hurry bounds all further writes, and one that is under way.
func (t *tailWriter) hurry() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hurrying = true
	_ = t.control.SetWriteDeadline(time.Now().Add(lastWriteTimeout))
}

// tailLine translates an event.
func tailLine(e streaming.Traffic, payload bool) adminapi.Line {
	line := adminapi.Line{
		Time:      e.Time.UTC(),
		Direction: adminapi.In,
		Namespace: e.Namespace,
		Event:     e.Event,
		Bytes:     &e.Bytes,
		Socket:    e.Socket,
		Broadcast: e.Broadcast,
		Rooms:     e.Rooms,
		Except:    e.Except,
	}
	if e.Out {
		line.Direction = adminapi.Out
	}
	if e.HasArgs {
		line.Args, line.Attachments = e.Args.AppendJSON(nil), e.Args.Attachments()
	}
	line.PayloadOmitted = payload && !e.HasArgs
	return line
}

// adminServers holds, for each HTTP server that somebody follows a hub at, what is closed when it
// stops. A reload replaces the admin endpoint and waits for requests to the old one; a config's own
// context ends too early where the config fails.
var adminServers = struct {
	sync.Mutex
	stopped map[*http.Server]chan struct{}
}{stopped: make(map[*http.Server]chan struct{})}

// stopped returns a channel that is closed when the server of a request stops.
func stopped(r *http.Request) <-chan struct{} {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return nil
	}
	adminServers.Lock()
	defer adminServers.Unlock()
	ended := adminServers.stopped[server]
	if ended == nil {
		ended = make(chan struct{})
		adminServers.stopped[server] = ended
		server.RegisterOnShutdown(func() {
			adminServers.Lock()
			defer adminServers.Unlock()
			// It is called as often as the server is shut down.
			if adminServers.stopped[server] == ended {
				close(ended)
				delete(adminServers.stopped, server)
			}
		})
	}
	return ended
}
