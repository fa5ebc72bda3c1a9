package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// follower reads a tail.
type follower struct {
	t        testing.TB
	response *http.Response
	lines    *bufio.Scanner
}

// follow begins a tail of the hub "default".
func (s *adminServer) follow(query string) *follower {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/socketio/hubs/default/tail"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != adminapi.Lines {
		s.t.Fatalf("%d %s", response.StatusCode, response.Header.Get("Content-Type"))
	}
	return &follower{t: s.t, response: response, lines: bufio.NewScanner(response.Body)}
}

// next reads a line.
func (f *follower) next() adminapi.Line {
	f.t.Helper()
	if !f.lines.Scan() {
		f.t.Fatalf("no line came: %v", f.lines.Err())
	}
	var line adminapi.Line
	if err := json.Unmarshal(f.lines.Bytes(), &line); err != nil {
		f.t.Fatalf("%v in %s", err, f.lines.Text())
	}
	return line
}

// ended expects the end.
func (f *follower) ended() {
	f.t.Helper()
	if f.lines.Scan() || f.lines.Err() != nil {
		f.t.Fatalf("want the end, got %q, %v", f.lines.Text(), f.lines.Err())
	}
}

func TestAdminTail(t *testing.T) {
	s := newAdminServer(t)
	conn, ids := s.connect("/", "/chat")
	plain, payload, chat := s.follow(""), s.follow("?payload"), s.follow("?namespace=chat&event=chat&socket="+ids[1])
	began := time.Now()
	_ = conn.WriteText(`42["chat",{"a":1}]`)
	in, out := plain.next(), plain.next()
	_ = conn.WriteText(`451-/chat,["chat",{"_placeholder":true,"num":0}]`)
	_ = conn.WriteBinary([]byte{1, 2})

	if in.Direction != "in" || in.Event != "chat" || in.Namespace != "/" || in.Socket != ids[0] || in.Bytes == nil || *in.Bytes != len(`{"a":1}`) ||
		in.Broadcast || in.Args != nil || in.Attachments != nil || in.PayloadOmitted || in.Time.Before(began) {
		t.Errorf("on its way in: %+v", in)
	}
	if out.Direction != "out" || !out.Broadcast || out.Socket != ids[0] || out.Event != "chat" {
		t.Errorf("on its way out: %+v", out)
	}
	if line := payload.next(); string(line.Args) != `[{"a":1}]` {
		t.Errorf("with its payload: %+v", line)
	}
	payload.next()
	if line := payload.next(); string(line.Args) != `[{"_placeholder":true,"num":0}]` || len(line.Attachments) != 1 || string(line.Attachments[0]) != "\x01\x02" {
		t.Errorf("with binary: %+v", line)
	}
	if line := chat.next(); line.Namespace != "/chat" || line.Direction != "in" {
		t.Errorf("with a filter: %+v", line)
	}
	if err := s.hubs["default"].Of("/").To("r").Except("x").EmitArgs("large", largeArgs(t)); err != nil {
		t.Fatal(err)
	}
	payload.next()
	if line := payload.next(); !line.PayloadOmitted || line.Args != nil || *line.Bytes < 64<<10 || strings.Join(line.Rooms, "") != "r" || strings.Join(line.Except, "") != "x" {
		t.Errorf("with a payload that is large: %+v", line)
	}
}

func largeArgs(t *testing.T) packet.Args {
	t.Helper()
	args, err := packet.NewArgs(strings.Repeat("x", 70<<10))
	if err != nil {
		t.Fatal(err)
	}
	return args
}

// TestAdminTailOutlivesTheReadTimeout holds that the server's read timeout, which counts from the
// request, ends no tail.
func TestAdminTailOutlivesTheReadTimeout(t *testing.T) {
	s := startAdminServer(t, 50*time.Millisecond, "default")
	tail := s.follow("")
	deadline := time.Now().Add(5 * s.http.Config.ReadTimeout)
	for time.Now().Before(deadline) {
		_ = s.hubs["default"].Of("/").EmitArgs("tick", packet.Args{})
		if line := tail.next(); line.Event != "tick" {
			t.Fatalf("got %+v", line)
		}
	}
}

func TestAdminTailEndsWithItsHub(t *testing.T) {
	s := newAdminServer(t)
	tail := s.follow("")
	s.hubs["default"].Close()
	if line := tail.next(); line.End != adminapi.EndHub {
		t.Errorf("got %+v", line)
	}
	tail.ended()
	if response, body := s.send("GET", "/socketio/hubs/default/tail", "", ""); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after the end: %d %s", response.StatusCode, body)
	}
}

// TestAdminTailDoesNotHoldUpItsServer holds that a server that is to stop, as at a reload, does not
// wait for those who follow, whether they read or not.
func TestAdminTailDoesNotHoldUpItsServer(t *testing.T) {
	s := newAdminServer(t)
	reading := s.follow("")
	s.follow("?payload") // and does not read
	args := largeArgs(t)
	for range 200 {
		_ = s.hubs["default"].Of("/").EmitArgs("large", args)
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	shut := make(chan error, 1)
	go func() { shut <- s.http.Config.Shutdown(ctx) }()
	line := reading.next()
	for line.End == "" {
		line = reading.next()
	}
	if line.End != adminapi.EndReload {
		t.Errorf("the last line is %+v", line)
	}
	reading.ended()
	if err := <-shut; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	adminServers.Lock()
	defer adminServers.Unlock()
	if adminServers.stopped[s.http.Config] != nil {
		t.Error("the server is not forgotten")
	}
}

// TestAdminTailTellsWhatItLost holds that one who reads too slowly is told how many events it has
// missed. How many the connection takes before it does not read is a matter of the system, so more
// and more are sent until some are lost.
func TestAdminTailTellsWhatItLost(t *testing.T) {
	s := newAdminServer(t)
	tail := s.follow("?payload")
	args, err := packet.NewArgs(strings.Repeat("x", 20<<10))
	if err != nil {
		t.Fatal(err)
	}
	seen, lost, events := 0, 0, 0
	for round := 0; lost == 0 && !t.Failed(); round++ {
		for range 256 << round {
			_ = s.hubs["default"].Of("/").EmitArgs("tick", args)
			events++
		}
		// The last one comes when there is room for it again.
		last, done := fmt.Sprintf("last %d", round), make(chan struct{})
		go func() {
			for tick := time.NewTicker(time.Millisecond); ; {
				select {
				case <-tick.C:
					_ = s.hubs["default"].Of("/").EmitArgs(last, packet.Args{})
				case <-done:
					tick.Stop()
					return
				}
			}
		}()
		for line := tail.next(); line.Event != last; line = tail.next() {
			lost += int(line.Lost)
			if line.Event == "tick" {
				seen++
			}
		}
		close(done)
	}
	if seen+lost < events {
		t.Errorf("%d lines, %d lost, of %d", seen, lost, events)
	}
}

// TestAdminTailOfOneAddressIsBounded holds that one address cannot follow by so many that nobody else
// can.
func TestAdminTailOfOneAddressIsBounded(t *testing.T) {
	s := newAdminServer(t)
	for {
		tap, err := s.hubs["default"].Tap(streaming.TapOptions{By: "127.0.0.1"})
		if err != nil {
			break
		}
		defer tap.Close()
	}
	response, body := s.send("GET", "/socketio/hubs/default/tail", "", "")
	if response.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, "from where you are") {
		t.Errorf("one too many of one address: %d %s", response.StatusCode, body)
	}
	tap, err := s.hubs["default"].Tap(streaming.TapOptions{By: "192.0.2.1"})
	if err != nil {
		t.Fatalf("one elsewhere: %v", err)
	}
	tap.Close()
}

func TestAdminTailIsBounded(t *testing.T) {
	s := newAdminServer(t)
	for {
		tap, err := s.hubs["default"].Tap(streaming.TapOptions{})
		if err != nil {
			break
		}
		defer tap.Close()
	}
	if response, body := s.send("GET", "/socketio/hubs/default/tail", "", ""); response.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, "too many follow") {
		t.Errorf("one too many: %d %s", response.StatusCode, body)
	}
	if response, _ := s.send("HEAD", "/socketio/hubs/default/tail", "", ""); response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != adminapi.Lines {
		t.Errorf("HEAD: %d", response.StatusCode)
	}
}
