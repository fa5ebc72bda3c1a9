package presence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

func TestServersKnowOfEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		a, b := n.server(t, "a"), n.server(t, "b")
		synctest.Wait()
		time.Sleep(time.Second)
		c := n.server(t, "c")
		time.Sleep(time.Millisecond) // a newcomer is answered at once
		synctest.Wait()
		if a.listed() != "b c " || b.listed() != "a c " || c.listed() != "a b " {
			t.Fatalf("a knows %q, b %q, c %q", a.listed(), b.listed(), c.listed())
		}
		if self := a.Self(); self.Name != "a" || self.Host == "" {
			t.Errorf("itself it knows as %+v", self)
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

// TestRowsEndWithTheLease holds that the rows of a server that is killed are removed within its lease, and that
// watchers hear of each once; and that those of one that takes leave are at once.
func TestRowsEndWithTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		a, b, c := n.server(t, "a"), n.server(t, "b"), n.server(t, "c")
		time.Sleep(time.Second)
		for i := range 1000 {
			for _, s := range []*server{b, c} {
				if err := s.Set(fmt.Sprint("row ", i), json.RawMessage(`{"n":1}`)); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		late := n.server(t, "d")
		time.Sleep(time.Second)
		for _, s := range []*server{a, late} {
			if seen, _ := s.known(); len(seen) != 2000 {
				t.Fatalf("%s knows %d rows", s.adapter.name, len(seen))
			}
		}
		b.kill()
		c.Close()
		synctest.Wait()
		if seen, lost := a.known(); len(seen) != 1000 || lost != 1000 {
			t.Errorf("after leave was taken: %d rows, %d lost", len(seen), lost)
		}
		time.Sleep(Lease)
		synctest.Wait()
		for _, s := range []*server{a, late} {
			if seen, lost := s.known(); len(seen) != 0 || lost != 2000 {
				t.Errorf("a lease later: %d rows, %d lost", len(seen), lost)
			}
			s.Close()
		}
	})
}

// TestServersThatAreCutOffComeBack holds that two halves of a cluster lose each other and find each other again.
func TestServersThatAreCutOffComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		a, b := n.server(t, "a"), n.server(t, "b")
		time.Sleep(time.Second)
		_ = a.Set("one", json.RawMessage("1"))
		synctest.Wait()
		b.adapter.cut.Store(true)
		_ = a.Set("two", json.RawMessage("2"))
		time.Sleep(Lease)
		if seen, lost := b.known(); len(seen) != 0 || lost != 1 || b.listed() != "" || a.listed() != "" {
			t.Errorf("apart: %v, %d lost, %q and %q", seen, lost, a.listed(), b.listed())
		}
		b.adapter.cut.Store(false)
		time.Sleep(2 * Beat)
		if seen, lost := b.known(); len(seen) != 2 || lost != 1 || a.listed() != "b " {
			t.Errorf("together again: %v, %d lost", seen, lost)
		}
		a.Close()
		b.Close()
	})
}

// TestRowsReplicate plays changes, losses, doubles, delays, deaths and newcomers: once the network is in order
// again, everybody has the rows of everybody who is there.
func TestRowsReplicate(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				n := new(network)
				servers := make(map[string]*server)
				want := make(map[string]map[string]string)
				begun := 0
				begin := func() {
					name := fmt.Sprint("s", begun)
					begun++
					servers[name], want[name] = n.server(t, name), make(map[string]string)
				}
				any := func() string {
					names := []string{}
					for name := range servers {
						names = append(names, name)
					}
					return names[random.IntN(len(names))]
				}
				for range 4 {
					begin()
				}
				n.mu.Lock()
				n.spoil = spoiled(rand.New(rand.NewPCG(seed, 2)))
				n.mu.Unlock()
				for range 200 {
					name := any()
					s := servers[name]
					key := fmt.Sprint("k", random.IntN(20))
					switch what := random.IntN(40); {
					case what == 0 && len(servers) > 2:
						s.kill()
						delete(servers, name)
						delete(want, name)
					case what == 1 && len(servers) > 2:
						s.Close()
						delete(servers, name)
						delete(want, name)
					case what == 2 && len(servers) < 6:
						begin()
					case what < 15:
						_ = s.Set(key, nil)
						delete(want[name], key)
					default:
						value := fmt.Sprint(random.IntN(1000))
						if err := s.Set(key, json.RawMessage(value)); err != nil {
							t.Fatal(err)
						}
						want[name][key] = value
					}
					time.Sleep(time.Duration(random.IntN(600)) * time.Millisecond)
				}
				n.mu.Lock()
				n.spoil = nil
				n.mu.Unlock()
				time.Sleep(2 * Lease)
				synctest.Wait()
				for name, s := range servers {
					all := make(map[string]string)
					for other, rows := range want {
						for key, value := range rows {
							if other != name {
								all[other+" "+key] = value
							}
						}
					}
					if seen, _ := s.known(); !maps.Equal(seen, all) {
						t.Errorf("%s has %v, want %v", name, seen, all)
					}
					if s.refused.Load() != 0 {
						t.Errorf("%s has refused %d messages", name, s.refused.Load())
					}
				}
				for _, s := range servers {
					s.Close()
				}
			})
		})
	}
}

func TestServersAnswerEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		a, b := n.server(t, "a"), n.server(t, "b")
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
		if _, err := a.Ask(t.Context(), "b", "never", nil); !errors.Is(err, ErrGone) || time.Since(begun) > Lease {
			t.Errorf("of one that is killed: %v after %s", err, time.Since(begun))
		}
		if _, err := a.Ask(t.Context(), "b", "never", nil); !errors.Is(err, ErrUnknown) {
			t.Errorf("of one that is dead: %v", err)
		}
		a.Close()
		time.Sleep(2 * time.Hour)
	})
}

// TestMessagesOutOfOrderAreRefused holds that what no server sends changes nothing, and is counted.
func TestMessagesOutOfOrderAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		a := n.server(t, "a")
		time.Sleep(time.Second)
		rows := strings.TrimSuffix(strings.Repeat(`{"k":"a","v":1},`, partRows+1), ",")
		for i, text := range []string{
			``, `7`, `[]`, `{}`, `{"v":2,"from":"b","run":1,"kind":"hello"}`,
			`{"v":1,"from":"","run":1,"kind":"hello"}`,
			`{"v":1,"from":"b c","run":1,"kind":"hello"}`,
			`{"v":1,"from":"` + strings.Repeat("b", maxName+1) + `","run":1,"kind":"hello"}`,
			`{"v":1,"from":"b","run":0,"kind":"hello"}`,
			`{"v":1,"from":"b","run":-1,"kind":"hello"}`,
			`{"v":1,"from":"b","run":1,"kind":"hello","host":"\u001b[31m"}`,
			`{"v":1,"from":"b","run":1,"kind":"rows","seq":1,"rows":[{"k":""}]}`,
			`{"v":1,"from":"b","run":1,"kind":"rows","seq":1,"rows":[{"k":"` + strings.Repeat("k", MaxKey+1) + `"}]}`,
			`{"v":1,"from":"b","run":1,"kind":"rows","seq":1,"rows":[{"k":"k","v":"` + strings.Repeat("k", MaxValue) + `"}]}`,
			`{"v":1,"from":"b","run":1,"kind":"rows","seq":1,"rows":[` + rows + `]}`,
			`{"v":1,"from":"b","run":1,"kind":"all","seq":1,"part":3,"parts":2}`,
			`{"v":1,"from":"b","run":1,"kind":"all","seq":1,"part":-1,"parts":2}`,
			`{"v":1,"from":"b","run":1,"kind":"all","seq":1,"part":1,"parts":100000000}`,
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
		`{"v":1,"from":"b","run":1,"kind":"rows","seq":1,"rows":[{"k":"a","v":{"x":[]}},{"k":"b"}]}`,
		`{"v":1,"from":"b","run":2,"kind":"all","seq":7,"part":0,"parts":1,"rows":[{"k":"a","v":null}]}`,
		`{"v":1,"from":"b","run":1,"kind":"want","to":"a"}`,
		`{"v":1,"from":"b","run":1,"kind":"ask","to":"a","id":"1","what":"echo","body":"x"}`,
		`{"v":1,"from":"b","run":1,"kind":"answer","to":"a","id":"1","part":0,"parts":1,"body":"x"}`,
		`{"v":1,"from":"b","run":1,"kind":"bye"}`,
	} {
		f.Add([]byte(seed), []byte(seed))
	}
	n := new(network)
	a := n.server(f, "a")
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
		bytes := 0
		for name, other := range a.nodes {
			size := 0
			for key, value := range other.rows {
				size += row{key, value}.size()
			}
			if size != other.bytes {
				t.Fatalf("the rows of %s have %d bytes, and count %d", name, size, other.bytes)
			}
			bytes += size
		}
		if bytes != a.bytes || len(a.nodes) > maxNodes {
			t.Fatalf("all rows have %d bytes, and count %d; %d nodes", bytes, a.bytes, len(a.nodes))
		}
	})
}
