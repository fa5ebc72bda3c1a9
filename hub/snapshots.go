package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// Storage is where what a hub keeps for its clients outlives the process: Caddy's own storage.
type Storage interface {
	Store(ctx context.Context, key string, value []byte) error
	Load(ctx context.Context, key string) ([]byte, error)
	Delete(ctx context.Context, key string) error
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
}

const (
	// snapshotInterval is how long after a snapshot the next one is taken, if something has changed.
	snapshotInterval = time.Second
	// snapshotPart is the part of the time that snapshots may take: one of a large hub is followed by the
	// next one later.
	snapshotPart = 10
	// snapshotPatience is how long is waited for the storage when the process begins, and when it ends.
	snapshotPatience = 5 * time.Second
	// snapshotRefreshes is how many times in the window of recovery a snapshot is stored again of which
	// nothing has changed, so that one that is as old as the window is of no use.
	snapshotRefreshes = 4
)

// snapshots keep what is kept for the clients of a hub in a [Storage], and get it back from there: when
// the process ends, and every second while something changes.
type snapshots struct {
	hub *hub
	// interval is the constant, unless a test has another.
	interval time.Duration
	begun    sync.Once

	mu sync.Mutex
	// storage is nil where nothing is stored, key is where it is stored.
	storage Storage
	key     string
	// plan is the one in force.
	plan *Plan
	// stop ends the goroutine that takes snapshots, which closes done at its end. They are nil unless it runs.
	stop, done chan struct{}
	// failing is true while the storage fails.
	failing bool
}

// begin restores what an earlier process has kept, before the first client comes: it is called with each
// request. Only the first call counts.
func (s *snapshots) begin(p *Plan) {
	s.begun.Do(func() {
		if p.Storage != nil {
			s.use(p, true)
		}
	})
}

// use has snapshots stored as a plan says. restore says whether what is stored already is to be used.
func (s *snapshots) use(p *Plan, restore bool) {
	s.mu.Lock()
	runs, again := s.stop != nil, s.plan == p
	s.plan = p
	s.mu.Unlock()
	switch {
	case again:
	case p.Storage == nil:
		s.forget()
	case runs:
		s.mu.Lock()
		s.storage = p.Storage
		s.mu.Unlock()
	default:
		if key := s.claim(p.Storage, restore); key != "" {
			s.start(p.Storage, key)
		}
	}
}

// claim makes the key of the hub's snapshots that of this process, and restores what is there. It returns
// "" if there is none for it.
func (s *snapshots) claim(storage Storage, restore bool) (key string) {
	ctx, cancel := context.WithTimeout(context.Background(), snapshotPatience)
	defer cancel()
	logger := s.hub.logger.Current()
	key, err := snapshotKey(s.hub.name)
	if err != nil {
		logger.Error("snapshots are not stored", "hub", s.hub.name, "error", err.Error())
		return ""
	}
	type claimed struct {
		file *snapshotFile
		err  error
	}
	// The storage may not care for the context.
	found := make(chan claimed, 1)
	go func() {
		file, err := loadSnapshot(ctx, storage, key, s.hub.name)
		found <- claimed{file, err}
	}()
	var c claimed
	select {
	case c = <-found:
	case <-ctx.Done():
		c.err = ctx.Err()
	}
	var other *otherProcessError
	switch {
	case errors.As(c.err, &other):
		logger.Warn("snapshots are not stored", "hub", s.hub.name, "error", other.Error())
		return ""
	case c.err != nil:
		s.hub.server.NoteSnapshot(streaming.SnapshotRefused, 0)
		logger.Warn("snapshot not used", "hub", s.hub.name, "key", key, "error", c.err.Error())
	case c.file != nil && restore:
		s.restore(c.file.Snapshot, logger)
	}
	return key
}

// restore goes on with a snapshot.
func (s *snapshots) restore(snapshot *streaming.Snapshot, logger *slog.Logger) {
	age := time.Since(snapshot.Taken)
	if age < -snapshotPatience {
		s.hub.server.NoteSnapshot(streaming.SnapshotRefused, 0)
		logger.Warn("snapshot not used", "hub", s.hub.name, "error", "it is from the future: the clock was put back", "taken_at", snapshot.Taken)
		return
	}
	restored, err := s.hub.server.Restore(snapshot)
	if err != nil {
		logger.Warn("snapshot not used", "hub", s.hub.name, "error", err.Error())
	}
	attributes := []any{
		"hub", s.hub.name, "sockets", restored.Sockets, "packets", restored.Packets, "age", age.Round(time.Millisecond).String(),
	}
	if restored.NoRoom > 0 {
		logger.Warn("sockets not restored", "hub", s.hub.name, "sockets", restored.NoRoom,
			"error", "there is no room for them; make max_bytes of recovery larger")
	}
	switch {
	case restored.Sockets == 0:
	case snapshot.Clean:
		logger.Info("sockets restored", attributes...)
	default:
		logger.Warn("sockets restored after a crash", attributes...)
	}
}

// start has snapshots taken from now on. The first one takes the place of what was restored before the
// first client comes.
func (s *snapshots) start(storage Storage, key string) {
	s.mu.Lock()
	s.storage, s.key = storage, key
	s.mu.Unlock()
	first := new(series)
	s.within(func(ctx context.Context) { s.next(ctx, first) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop, s.done = make(chan struct{}), make(chan struct{})
	go s.run(s.stop, s.done, first)
}

// series are the snapshots of one hub, by the last one that was stored.
type series struct {
	mu sync.Mutex
	// version is that of what it has, taken is when that was, and sockets is how many it has.
	version uint64
	taken   time.Time
	sockets int
}

// next stores a snapshot, if one is due.
func (s *snapshots) next(ctx context.Context, last *series) {
	last.mu.Lock()
	defer last.mu.Unlock()
	begun, version := time.Now(), s.hub.server.SnapshotVersion()
	s.mu.Lock()
	isOld := time.Since(last.taken) > s.plan.Server.Recovery.Window/snapshotRefreshes
	s.mu.Unlock()
	if version == 0 || version == last.version && (!isOld || last.sockets == 0) {
		return
	}
	if snapshot := s.hub.server.Snapshot(); s.store(ctx, snapshot) {
		last.version, last.taken, last.sockets = version, begun, snapshot.Sockets()
	}
}

func (s *snapshots) run(stop, done chan struct{}, last *series) {
	defer close(done)
	defer func() {
		if r := recover(); r != nil {
			s.hub.logger.Current().Error("panic while taking a snapshot", "hub", s.hub.name, "panic", r, "stack", string(debug.Stack()))
		}
	}()
	timer := time.NewTimer(s.interval)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		begun := time.Now()
		s.next(context.Background(), last)
		timer.Reset(max(s.interval, snapshotPart*time.Since(begun)))
	}
}

// store stores a snapshot. It logs the first failure, and the end of failures.
func (s *snapshots) store(ctx context.Context, snapshot *streaming.Snapshot) bool {
	s.mu.Lock()
	storage, key := s.storage, s.key
	s.mu.Unlock()
	host, _ := os.Hostname()
	file := snapshotFile{Hub: s.hub.name, Host: host, PID: os.Getpid(), Snapshot: snapshot}
	data, err := file.encode()
	if err == nil {
		err = storage.Store(ctx, key, data)
	}
	s.mu.Lock()
	failed := s.failing
	s.failing = err != nil
	s.mu.Unlock()
	if err != nil {
		s.hub.server.NoteSnapshot(streaming.SnapshotFailed, 0)
		if !failed {
			s.hub.logger.Current().Warn("snapshots cannot be stored", "hub", s.hub.name, "key", key, "error", err.Error())
		}
		return false
	}
	s.hub.server.NoteSnapshot(streaming.SnapshotStored, len(data))
	if failed {
		s.hub.logger.Current().Info("snapshots are stored again", "hub", s.hub.name)
	}
	return true
}

// halt has no more snapshots taken. It reports false if none were, or if one that is being stored takes
// too long.
func (s *snapshots) halt() bool {
	s.mu.Lock()
	stop, done := s.stop, s.done
	s.stop, s.done = nil, nil
	s.mu.Unlock()
	if stop == nil {
		return false
	}
	close(stop)
	select {
	case <-done:
		return true
	case <-time.After(snapshotPatience):
		s.hub.logger.Current().Error("the storage takes too long for a snapshot", "hub", s.hub.name)
		return false
	}
}

// within calls what uses the storage, and waits for it for a bounded time.
func (s *snapshots) within(do func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), snapshotPatience)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(ctx)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.hub.logger.Current().Error("the storage takes too long for a snapshot", "hub", s.hub.name)
	}
}

// keeper returns what takes the last snapshot when the hub ends, or nil where none is taken.
func (s *snapshots) keeper(reason engineio.Reason) func(*streaming.Snapshot) {
	s.mu.Lock()
	runs := s.stop != nil
	s.mu.Unlock()
	if !runs || reason == engineio.ReasonHubRemoved {
		return nil
	}
	return func(last *streaming.Snapshot) {
		if s.halt() {
			s.within(func(ctx context.Context) { s.store(ctx, last) })
		}
	}
}

// forget has nothing stored any more, and what is stored forgotten.
func (s *snapshots) forget() {
	if !s.halt() {
		return
	}
	s.mu.Lock()
	storage, key := s.storage, s.key
	s.storage = nil
	s.mu.Unlock()
	s.within(func(ctx context.Context) {
		if err := storage.Delete(ctx, key); err != nil {
			s.hub.logger.Current().Warn("a snapshot cannot be deleted", "hub", s.hub.name, "key", key, "error", err.Error())
		}
	})
}

// maxKeyName is how long the name of a hub may be that is part of a key.
const maxKeyName = 128

// snapshotKey is where the snapshots of a hub are stored. Processes that share a storage have keys of
// their own: by the ID of this Caddy, which it keeps in its data directory, and by the name of the machine,
// as several may share that directory, too.
func snapshotKey(hub string) (string, error) {
	instance, err := caddy.InstanceID()
	if err != nil {
		return "", fmt.Errorf("getting the ID of this Caddy: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("getting the name of this machine: %w", err)
	}
	return path.Join("socketio_stream", "recovery", instance.String(), keyName(host), keyName(hub)+".snapshot"), nil
}

// keyName makes a name part of a key.
func keyName(name string) string {
	name = url.QueryEscape(name)
	if len(name) > maxKeyName {
		sum := sha256.Sum256([]byte(name))
		name = hex.EncodeToString(sum[:])
	}
	return "_" + name
}

// otherProcessError is a snapshot that another process is taking.
type otherProcessError struct{ pid int }

func (e *otherProcessError) Error() string {
	return fmt.Sprintf("process %d of this machine stores those of a hub of this name; give one of the hubs another, as in: hub <name>", e.pid)
}

// loadSnapshot returns what is stored for a hub, or nil if there is nothing. The error may be an
// otherProcessError.
func loadSnapshot(ctx context.Context, storage Storage, key, hub string) (*snapshotFile, error) {
	if err := storage.Lock(ctx, key); err != nil {
		return nil, fmt.Errorf("locking it: %w", err)
	}
	defer func() { _ = storage.Unlock(context.WithoutCancel(ctx), key) }()
	data, err := storage.Load(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("loading it: %w", err)
	}
	file, err := decodeSnapshot(data)
	switch {
	case err != nil:
		return nil, err
	case file.Hub != hub:
		return nil, fmt.Errorf("it is of the hub %q", file.Hub)
	case !file.Snapshot.Clean && file.PID != os.Getpid() && isRunning(file.PID):
		return nil, &otherProcessError{file.PID}
	}
	return file, nil
}

// isRunning reports whether there is a process of that ID on this machine, as far as the system tells.
func isRunning(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil || pid <= 0 {
		return false
	}
	err = process.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}
