package presence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/clustertest"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

func TestServersKnowOfEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &clustertest.Network{RequestTimeout: patience}
		a, b := join(t, n, "a"), join(t, n, "b")
		synctest.Wait()
		time.Sleep(time.Second)
		c := join(t, n, "c")
		time.Sleep(time.Millisecond) // a newcomer is answered at once
		synctest.Wait()
		if a.listed() != "b c " || b.listed() != "a c " || c.listed() != "a b " {
			t.Fatalf("a knows %q, b %q, c %q", a.listed(), b.listed(), c.listed())
		}
		if nodes := b.Nodes(); nodes[0].Host == "" || nodes[0].Host != a.Host() {
			t.Errorf("a is on %q, and b knows %v", a.Host(), nodes)
		}
		time.Sleep(10 * Lease)
		if a.listed() != "b c " {
			t.Errorf("later a knows %q", a.listed())
		}
		c.Close()
		synctest.Wait()
		if a.listed() != "b " {
			t.Errorf("after c has taken leave a knows %q", a.listed())
		}
		b.kill()
		time.Sleep(Lease)
		synctest.Wait()
		if a.listed() != "" {
			t.Errorf("a lease after b was killed a knows %q", a.listed())
		}
		a.Close()
	})
}

// TestServersThatAreCutOffComeBack holds that two halves of a cluster lose each other and find each other again.
func TestServersThatAreCutOffComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(clustertest.Network)
		a, b := join(t, n, "a"), join(t, n, "b")
		time.Sleep(time.Second)
		n.Cut("b", true)
		time.Sleep(Lease)
		if a.listed() != "" || b.listed() != "" {
			t.Errorf("apart a knows %q, b %q", a.listed(), b.listed())
		}
		n.Cut("b", false)
		time.Sleep(2 * Beat)
		if a.listed() != "b " || b.listed() != "a " {
			t.Errorf("together again a knows %q, b %q", a.listed(), b.listed())
		}
		a.Close()
		b.Close()
	})
}

// TestNewcomersSettle holds that who has just come waits until the others have answered, and others do not wait.
func TestNewcomersSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(clustertest.Network)
		a := join(t, n, "a")
		a.Settle(t.Context())
		b := join(t, n, "b")
		begun := time.Now()
		b.Settle(t.Context())
		if b.listed() != "a " || time.Since(begun) > 2*settling {
			t.Errorf("after %s b knows %q", time.Since(begun), b.listed())
		}
		begun = time.Now()
		a.Settle(t.Context())
		a.Close()
		a.Settle(t.Context())
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("one that is there, or has left, waits %s", waited)
		}
		b.Close()
	})
}

// TestServersThatBeginAnew holds that of two runs of one name the later one is meant, and that what the earlier one
// was asked ends.
func TestServersThatBeginAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := join(t, new(clustertest.Network), "a")
		time.Sleep(time.Second)
		tell(t, a, `{"v":1,"from":"b","run":2,"kind":"hello","host":"old"}`)
		ended := make(chan error, 1)
		go func() {
			_, err := a.Ask(t.Context(), "b", "what", nil)
			ended <- err
		}()
		synctest.Wait()
		tell(t, a, `{"v":1,"from":"b","run":3,"kind":"beat","host":"new"}`)
		if err := <-ended; !errors.Is(err, ErrGone) {
			t.Errorf("what the earlier run was asked: %v", err)
		}
		tell(t, a, `{"v":1,"from":"b","run":2,"kind":"beat","host":"old"}`)
		tell(t, a, `{"v":1,"from":"b","run":2,"kind":"bye"}`)
		if nodes := a.Nodes(); len(nodes) != 1 || nodes[0].Host != "new" {
			t.Errorf("a knows %v", nodes)
		}
		a.Close()
	})
}

// TestTooManyServersAreRefused holds that the number of servers is bounded.
func TestTooManyServersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := join(t, new(clustertest.Network), "a")
		time.Sleep(time.Second)
		for i := range maxNodes + 5 {
			tell(t, a, fmt.Sprintf(`{"v":1,"from":"b%d","run":1,"kind":"beat"}`, i))
		}
		if len(a.Nodes()) != maxNodes || a.refused.Load() != 5 {
			t.Errorf("%d servers, %d refused", len(a.Nodes()), a.refused.Load())
		}
		a.Close()
	})
}

// TestAnswersAreBounded holds that an answer takes no more memory than it may, whatever its parts say, and that
// nothing is left of answers that end.
func TestAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := join(t, new(clustertest.Network), "a")
		time.Sleep(time.Second)
		part := strings.Repeat("x", 1<<20)
		for name, parts := range map[string][]string{
			"too large":        slices.Repeat([]string{`"parts":256,"body":"` + part + `"`}, maxAnswer>>20+1),
			"another number":   {`"parts":3,"body":"x"`, `"parts":2,"body":"x"`},
			"one that is lost": {`"parts":3,"body":"x"`, `"parts":3,"part":2,"body":"x"`},
			"no parts":         {`"body":"x"`},
		} {
			tell(t, a, `{"v":1,"from":"b","run":2,"kind":"beat"}`)
			ended := make(chan error, 1)
			go func() {
				_, err := a.Ask(t.Context(), "b", "what", nil)
				ended <- err
			}()
			synctest.Wait()
			a.mu.Lock()
			id := ""
			for id = range a.calls {
			}
			a.mu.Unlock()
			for i, part := range parts {
				number := ""
				if !strings.Contains(part, `"part":`) {
					number = fmt.Sprintf(`"part":%d,`, i)
				}
				if i > 0 && name == "too large" && len(ended) > 0 {
					break
				}
				tell(t, a, `{"v":1,"from":"b","run":2,"kind":"answer","to":"a","id":"`+id+`",`+number+part+`}`)
			}
			synctest.Wait()
			select {
			case err := <-ended:
				if err == nil || errors.Is(err, ErrSilent) {
					t.Errorf("%s: %v", name, err)
				}
			default:
				t.Errorf("%s: it is still waited for", name)
			}
			if a.coming != 0 || len(a.calls) != 0 {
				t.Errorf("%s: %d bytes are still counted", name, a.coming)
			}
		}
		a.Close()
	})
}

// tell has a server hear a message.
func tell(t *testing.T, s *server, text string) {
	t.Helper()
	args, err := packet.ParseArgs([]byte("[" + text + "]"))
	if err != nil {
		t.Fatal(err)
	}
	s.take(args)
}

func TestServersAnswerEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &clustertest.Network{RequestTimeout: patience}
		a, b := join(t, n, "a"), join(t, n, "b")
		time.Sleep(time.Second)
		b.Answers("echo", func(_ context.Context, body []byte) ([]byte, error) { return body, nil })
		b.Answers("fail", func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no such thing") })
		b.Answers("panic", func(context.Context, []byte) ([]byte, error) { panic("broken") })
		b.Answers("never", func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			time.Sleep(time.Hour)
			return nil, nil
		})
		for _, text := range []string{"", "hello", strings.Repeat("grüße 世界", 50_000)} {
			if got, err := a.Ask(t.Context(), "b", "echo", []byte(text)); string(got) != text || err != nil {
				t.Errorf("%d of %d bytes, %v", len(got), len(text), err)
			}
		}
		for _, test := range []struct{ node, what, want string }{
			{"b", "fail", "no such thing"},
			{"b", "panic", "its log says why"},
			{"b", "nothing", "of another version"},
			{"c", "echo", ErrUnknown.Error()},
			{"b", "never", ErrSilent.Error()},
		} {
			if _, err := a.Ask(t.Context(), test.node, test.what, nil); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %q", test.what, err, test.want)
			}
		}
		if _, err := a.Ask(t.Context(), "b", "echo", make([]byte, maxBody+1)); err == nil {
			t.Error("too large a question was asked")
		}
		// The end of a server ends what it was asked, long before the time to answer is over.
		b.kill()
		begun := time.Now()
		if _, err := a.Ask(t.Context(), "b", "never", nil); !errors.Is(err, ErrLost) || time.Since(begun) > Lease {
			t.Errorf("of one that is killed: %v after %s", err, time.Since(begun))
		}
		if _, err := a.Ask(t.Context(), "b", "never", nil); !errors.Is(err, ErrUnknown) {
			t.Errorf("of one that is dead: %v", err)
		}
		// A server that takes leave says of itself why it has no answers.
		c := join(t, n, "c")
		c.Settle(t.Context())
		c.Answers("never", func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
		ended := make(chan error, 1)
		go func() {
			_, err := a.Ask(t.Context(), "c", "never", nil)
			ended <- err
		}()
		synctest.Wait()
		a.Close()
		if err := <-ended; !errors.Is(err, ErrLeft) {
			t.Errorf("of one that takes leave: %v", err)
		}
		if _, err := a.Ask(t.Context(), "c", "never", nil); !errors.Is(err, ErrLeft) {
			t.Errorf("of one that has taken leave: %v", err)
		}
		c.Close()
		time.Sleep(2 * time.Hour)
	})
}

// TestMessagesOutOfOrderAreRefused holds that what no server sends changes nothing, and is counted.
func TestMessagesOutOfOrderAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &clustertest.Network{RequestTimeout: patience}
		a := join(t, n, "a")
		time.Sleep(time.Second)
		for i, text := range []string{
			``, `7`, `[]`, `{}`, `{"v":2,"from":"b","run":1,"kind":"hello"}`,
			`{"v":1,"from":"","run":1,"kind":"hello"}`,
			`{"v":1,"from":"b c","run":1,"kind":"hello"}`,
			`{"v":1,"from":"` + strings.Repeat("b", maxName+1) + `","run":1,"kind":"hello"}`,
			`{"v":1,"from":"b","run":0,"kind":"hello"}`,
			`{"v":1,"from":"b","run":-1,"kind":"hello"}`,
			`{"v":1,"from":"b","run":1,"kind":"hello","host":"\u001b[31m"}`,
			`{"v":1,"from":"b","run":1,"kind":"answer","part":3,"parts":2}`,
			`{"v":1,"from":"b","run":1,"kind":"answer","part":-1,"parts":2}`,
			`{"v":1,"from":"b","run":1,"kind":"answer","part":1,"parts":100000000}`,
		} {
			before := a.refused.Load()
			args, err := packet.ParseArgs([]byte("[" + text + "]"))
			if err != nil {
				t.Fatal(err)
			}
			a.take(args)
			if a.refused.Load() != before+1 || a.listed() != "" {
				t.Errorf("message %d: %d refused, nodes %q: %.80s", i, a.refused.Load()-before, a.listed(), text)
			}
		}
		a.Close()
	})
}

// FuzzMessages holds that no message does harm, whatever other servers tell.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		`{"v":1,"from":"b","run":1,"kind":"hello","host":"h","seq":3}`,
		`{"v":1,"from":"b","run":1,"kind":"ask","to":"a","id":"1","what":"echo","body":"x"}`,
		`{"v":1,"from":"b","run":1,"kind":"answer","to":"a","id":"1","part":0,"parts":1,"body":"x"}`,
		`{"v":1,"from":"b","run":1,"kind":"bye"}`,
	} {
		f.Add([]byte(seed), []byte(seed))
	}
	n := &clustertest.Network{RequestTimeout: patience}
	a := join(f, n, "a")
	f.Cleanup(a.Close)
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, text := range [][]byte{first, second, first} {
			args, err := packet.ParseArgs([]byte("[" + string(text) + "]"))
			if err != nil {
				return
			}
			a.take(args)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.nodes) > maxNodes || a.coming != 0 {
			t.Fatalf("%d nodes, %d bytes of answers that nobody waits for", len(a.nodes), a.coming)
		}
	})
}
