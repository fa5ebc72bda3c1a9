package hub

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// testStorage is a storage in memory. Its calls fail with err, and block while hold is not nil and open.
type testStorage struct {
	mu     sync.Mutex
	values map[string][]byte
	stored int
	err    error
	hold   chan struct{}
}

func (s *testStorage) wait() error {
	s.mu.Lock()
	hold, err := s.hold, s.err
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return err
}

func (s *testStorage) Store(_ context.Context, key string, value []byte) error {
	if err := s.wait(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = make(map[string][]byte)
	}
	s.values[key] = value
	s.stored++
	return nil
}

func (s *testStorage) Load(_ context.Context, key string) ([]byte, error) {
	if err := s.wait(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if value, ok := s.values[key]; ok {
		return value, nil
	}
	return nil, fs.ErrNotExist
}

func (s *testStorage) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, key)
	return nil
}

func (s *testStorage) Lock(context.Context, string) error   { return s.wait() }
func (s *testStorage) Unlock(context.Context, string) error { return nil }

// only returns the key and the value of all that is stored.
func (s *testStorage) only(t *testing.T) (key string, value []byte) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.values) != 1 {
		t.Fatalf("%d values", len(s.values))
	}
	for key, value = range s.values {
	}
	return key, value
}

func (s *testStorage) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *testStorage) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored
}

// snapshotHub is a hub that stores snapshots.
type snapshotHub struct {
	*hub
	t    *testing.T
	plan *Plan
	logs *observer.ObservedLogs
}

func newSnapshotHub(t *testing.T, storage Storage) *snapshotHub {
	t.Helper()
	// The ID of this Caddy is in the data directory.
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	return anotherHub(t, storage)
}

func anotherHub(t *testing.T, storage Storage) *snapshotHub {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	options := streaming.Options{Recovery: recovery.Options{Window: time.Minute, Outlives: true}}
	h := &snapshotHub{
		hub: &hub{
			name: "*.example.com", server: streaming.New(options, nil), logger: logline.NewSwitch(slog.New(zapslog.NewHandler(core))),
		},
		t: t, plan: &Plan{Server: options, Storage: storage}, logs: logs,
	}
	if _, err := h.server.Use("/", restorable{}); err != nil {
		t.Fatal(err)
	}
	h.snapshots.hub, h.snapshots.interval = h.hub, time.Millisecond
	t.Cleanup(func() {
		h.snapshots.halt()
		h.server.Close()
	})
	return h
}

// restorable is an event set whose sockets can be restored.
type restorable struct{}

func (restorable) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	h.OnRestore(nil)
	return nil
}

func (h *snapshotHub) begin() { h.snapshots.begin(h.plan) }

// leave ends the hub for a reason.
func (h *snapshotHub) leave(reason engineio.Reason) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.server.ShutdownAndKeep(ctx, engineio.Farewell{}, h.snapshots.keeper(reason)); err != nil {
		h.t.Error(err)
	}
}

// expectLine checks how many lines there are of a message, and returns the error of the last one.
func (h *snapshotHub) expectLine(message string, want int) (text string) {
	h.t.Helper()
	lines := h.logs.FilterMessage(message).All()
	if len(lines) != want {
		h.t.Fatalf("%d lines %q, want %d: %v", len(lines), message, want, h.logs.All())
	}
	if want > 0 {
		text, _ = lines[want-1].ContextMap()["error"].(string)
	}
	return text
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// TestSnapshotsAreStoredWhileSomethingChanges holds that a snapshot is stored when the hub begins, when
// something has changed, and when the hub ends, and at no other time; and that the next hub reads it.
func TestSnapshotsAreStoredWhileSomethingChanges(t *testing.T) {
	storage := new(testStorage)
	h := newSnapshotHub(t, storage)
	h.begin()
	eventually(t, "the first snapshot", func() bool { return storage.count() == 1 })
	_ = h.server.Of("/").To("room").Emit("nobody hears it")
	time.Sleep(20 * time.Millisecond)
	if n := storage.count(); n != 1 {
		t.Errorf("%d snapshots of a hub where nothing happens", n)
	}
	h.leave(engineio.ReasonShutdown)
	key, value := storage.only(t)
	if storage.count() != 2 || !strings.HasSuffix(key, "/_%2A.example.com.snapshot") {
		t.Error(storage.count(), key)
	}
	file, err := decodeSnapshot(value)
	if err != nil || !file.Snapshot.Clean || file.Hub != h.name || file.PID != os.Getpid() {
		t.Errorf("%+v, %v", file, err)
	}
	next := anotherHub(t, storage)
	next.begin()
	if m := next.server.Metrics().Recovery.Snapshots; m.Refused != 0 {
		t.Errorf("%+v: %v", m, next.logs.All())
	}
}

// TestSnapshotsThatAreNotUsed holds that what cannot be used is told once, and that the hub begins anew.
func TestSnapshotsThatAreNotUsed(t *testing.T) {
	storage := new(testStorage)
	h := newSnapshotHub(t, storage)
	h.begin()
	h.leave(engineio.ReasonShutdown)
	key, good := storage.only(t)
	changed := func(change func(f *snapshotFile)) []byte {
		f, err := decodeSnapshot(good)
		if err != nil {
			t.Fatal(err)
		}
		change(f)
		data, err := f.encode()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	flip := func(at int) []byte {
		data := append([]byte(nil), good...)
		data[at] ^= 1
		return data
	}
	sleeper := exec.Command("sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = sleeper.Process.Kill()
		_ = sleeper.Wait()
	})
	for _, test := range []struct {
		name, message, want string
		value               []byte
		refused             int64
	}{
		{"good", "snapshot not used", "", good, 0},
		{"empty", "snapshot not used", "it is damaged", []byte{}, 1},
		{"short", "snapshot not used", "it is damaged", good[:len(good)-1], 1},
		{"foreign", "snapshot not used", "it is damaged", flip(0), 1},
		{"flipped", "snapshot not used", "it is damaged", flip(len(good) - 1), 1},
		{"version", "snapshot not used", "it has version 0 of the form, and this is a program for version 1", flip(len(snapshotLetters)), 1},
		{"hub", "snapshot not used", `it is of the hub "other"`, changed(func(f *snapshotFile) { f.Hub = "other" }), 1},
		{"future", "snapshot not used", "it is from the future: the clock was put back", changed(func(f *snapshotFile) {
			f.Snapshot.Taken = time.Now().Add(time.Hour)
		}), 1},
		{"another process", "snapshots are not stored", "of this machine stores those of a hub of this name", changed(func(f *snapshotFile) {
			f.PID, f.Snapshot.Clean = sleeper.Process.Pid, false
		}), 0},
		{"another process that has ended", "snapshots are not stored", "", changed(func(f *snapshotFile) {
			f.PID = sleeper.Process.Pid
		}), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			storage := &testStorage{values: map[string][]byte{key: test.value}}
			h := anotherHub(t, storage)
			h.begin()
			lines := 0
			if test.want != "" {
				lines = 1
			}
			if got := h.expectLine(test.message, lines); !strings.Contains(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
			if m := h.server.Metrics().Recovery.Snapshots; m.Refused != test.refused {
				t.Errorf("%+v", m)
			}
			if test.name == "another process" {
				h.leave(engineio.ReasonShutdown)
				if _, value := storage.only(t); storage.count() != 0 || string(value) != string(test.value) {
					t.Error("what is another's was overwritten")
				}
				return
			}
			// It is of no use a second time.
			eventually(t, "the first snapshot", func() bool { return storage.count() > 0 })
		})
	}
}

// TestStorageThatFails holds that a storage that fails is told once in a row, and counted, and that one
// that hangs holds up neither clients nor the end for long.
func TestStorageThatFails(t *testing.T) {
	storage := &testStorage{err: errors.New("no space left")}
	h := newSnapshotHub(t, storage)
	h.begin()
	h.expectLine("snapshot not used", 1)
	failed := func() int64 { return h.server.Metrics().Recovery.Snapshots.Failed }
	eventually(t, "some failures", func() bool { return failed() > 2 })
	if got := h.expectLine("snapshots cannot be stored", 1); got != "no space left" {
		t.Error(got)
	}
	storage.fail(nil)
	eventually(t, "a snapshot", func() bool { return storage.count() > 0 })
	eventually(t, "a line", func() bool { return h.logs.FilterMessage("snapshots are stored again").Len() == 1 })
	hold := make(chan struct{})
	defer close(hold)
	storage.mu.Lock()
	storage.hold = hold
	storage.mu.Unlock()
	h.leave(engineio.ReasonShutdown)
	h.expectLine("the storage takes too long for a snapshot", 1)
}

// TestSnapshotsEndWithTheirOption holds that what is stored is forgotten when a reload removes the hub, or
// has nothing stored any more, and that it is not restored when a reload turns it on again.
func TestSnapshotsEndWithTheirOption(t *testing.T) {
	storage := new(testStorage)
	h := newSnapshotHub(t, storage)
	h.begin()
	eventually(t, "the first snapshot", func() bool { return storage.count() == 1 })
	off := *h.plan
	off.Storage = nil
	h.snapshots.use(&off, false)
	if len(storage.values) != 0 {
		t.Errorf("%d are left", len(storage.values))
	}
	if h.snapshots.keeper(engineio.ReasonShutdown) != nil {
		t.Error("the last one is taken")
	}
	again, on := *h.plan, *h.plan
	h.snapshots.use(&again, false)
	eventually(t, "the next snapshot", func() bool { return storage.count() == 2 })
	h.snapshots.use(&on, false)
	if h.snapshots.keeper(engineio.ReasonHubRemoved) != nil {
		t.Error("the last one is taken of a hub that is removed")
	}
	h.snapshots.forget()
	if len(storage.values) != 0 {
		t.Errorf("%d are left", len(storage.values))
	}
}

// TestKeysOfSnapshots holds that hubs of all names have keys of their own.
func TestKeysOfSnapshots(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	seen := make(map[string]string)
	for _, name := range []string{"a", "..", ".", "a/b", "a%2Fb", "*", strings.Repeat("a", 1000), strings.Repeat("a", 1001), "localhost:8443"} {
		key, err := snapshotKey(name)
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := seen[key]; taken || len(key) > 400 || strings.Contains(key, "/../") || strings.Count(key, "/") != 4 {
			t.Errorf("%q has %q, as has %q", name, key, other)
		}
		seen[key] = name
	}
}

// FuzzDecodeSnapshot holds that no bytes make the program that reads a snapshot panic, with and without
// a checksum that is right, nor the server that restores it.
func FuzzDecodeSnapshot(f *testing.F) {
	server := streaming.New(streaming.Options{Recovery: recovery.Options{Window: time.Minute, Outlives: true}}, nil)
	f.Cleanup(server.Close)
	if _, err := server.Use("/", restorable{}); err != nil {
		f.Fatal(err)
	}
	good, err := (&snapshotFile{Hub: "a", Snapshot: server.Snapshot()}).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[snapshotHeader:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := decodeSnapshot(body); err == nil && len(body) < snapshotHeader {
			t.Error("something is made of nothing")
		}
		data := append([]byte(snapshotLetters), snapshotVersion, 0, 0, 0, 0)
		data = append(data, body...)
		binary.BigEndian.PutUint32(data[snapshotHeader-4:], crc32.Checksum(body, castagnoli))
		file, err := decodeSnapshot(data)
		if err != nil {
			return
		}
		next := streaming.New(streaming.Options{Recovery: recovery.Options{Window: time.Minute, Outlives: true}}, nil)
		defer next.Close()
		if _, err := next.Use("/", restorable{}); err != nil {
			t.Fatal(err)
		}
		_, _ = next.Restore(file.Snapshot)
	})
}
