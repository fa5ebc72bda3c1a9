package streaming

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// counted counts how often an authenticator is asked.
func counted(asked *atomic.Int32, a authenticate) authenticate {
	return func(ctx context.Context, c *Credentials) (*Identity, error) {
		asked.Add(1)
		return a(ctx, c)
	}
}

// TestFailedConnectsAreBounded holds that a client which sends one bad token
// after the other has few of them looked at, whatever its address, and that the others
// wait for their time and are not refused: that passes by itself.
func TestFailedConnectsAreBounded(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			var asked atomic.Int32
			s := newTestServer(t, Options{}, counted(&asked, byName))
			c := s.dial(transport)
			honest := s.dial(transport)
			const unauthorized = `4{"message":"not authorized","data":{"code":"unauthorized"}}`
			for range failuresAtOnce {
				c.send(`0{"token":"bad"}`)
				c.expect(unauthorized)
			}
			begun := time.Now()
			const more = 3
			for range more {
				c.send(`0{"token":"bad"}`)
				c.expect(unauthorized)
			}
			// One comes back in a second. Each failure takes up whatever has come back by then.
			if took := time.Since(begun); took < (more-1)*attemptsEvery {
				t.Errorf("%d more took %s", more, took)
			}
			if n, refused := asked.Load(), s.Metrics().Auth.Refused; int64(n) != refused || n != failuresAtOnce+more {
				t.Errorf("asked %d times, refused %d", n, refused)
			}
			// The first one need not wait where those before have taken long.
			if n := s.met(LimitAuthAttempts); n < more-1 || n > more {
				t.Errorf("counted %d of %d", n, more)
			}
			// Nobody else is held up.
			honest.send(`0{"name":"ada"}`)
			if m := honest.next(); !strings.HasPrefix(m.text, `0{"sid"`) {
				t.Error(m)
			}
		})
	}
}

// TestRefreshesAreBounded holds that good tokens cost no more than bad ones,
// and that a flood of events brings about none of errors.
func TestRefreshesAreBounded(t *testing.T) {
	var asked atomic.Int32
	s := newTestServer(t, Options{}, counted(&asked, byName), on("ping", func(e *Event) { e.Ack.Reply(packet.Args{}) }))
	begun := time.Now()
	c := s.as(`{"name":"ada"}`)
	const atOnce = attemptsAtOnce + DefaultNamespaces
	const flood = atOnce + 50
	for i := range flood {
		c.send(fmt.Sprintf(`2%d["auth:refresh",{"name":"ada"}]`, i))
	}
	c.send(`2999["ping"]`)
	var good, refused, told int
	for got := ""; got != "3999[]"; {
		got = c.next().text
		switch {
		case strings.Contains(got, `"success":true`):
			good++
		case strings.Contains(got, `{"success":false,"error":"too many attempts to authenticate","code":"rate_limited"}`):
			refused++
		case strings.HasPrefix(got, `2["error",`):
			told++
		}
	}
	// One comes back in each second, and there is one error for each row of refusals.
	back := int(time.Since(begun) / attemptsEvery)
	if good < atOnce-1 || good > atOnce-1+back || good+refused != flood || told > back+1 || (told == 0) != (refused == 0) {
		t.Errorf("%d were good, %d refused, %d errors, within %d s", good, refused, told, back)
	}
	if int(asked.Load()) != good+1 {
		t.Errorf("asked %d times", asked.Load())
	}
	// Who goes on ends, sooner or later: an attempt that comes back meanwhile begins another row.
	go func() {
		for c.trySend(`21["auth:refresh",{"name":"ada"}]`) == nil {
		}
	}()
	rest := c.expectEnd()
	if len(rest) == 0 || rest[len(rest)-1].text != "1" {
		t.Errorf("the last was %v", rest)
	}
}

// TestRefreshPayloadIsBounded holds that what is kept of a refresh is no more
// than what is kept of a connection, and that nobody is asked about more.
func TestRefreshPayloadIsBounded(t *testing.T) {
	var asked atomic.Int32
	s := newTestServer(t, Options{}, counted(&asked, byName))
	c := s.as(`{"name":"ada"}`)
	long := strings.Repeat("x", maxAuthPayload)
	c.send(`21["auth:refresh",{"name":"ada","token":"` + long + `"}]`)
	c.expect(`31[{"success":false,"error":"auth payload too large","code":"auth_too_large"}]`,
		`2["error",{"message":"auth payload too large","code":"auth_too_large"}]`)
	if asked.Load() != 1 || s.met(LimitAuth) != 1 {
		t.Errorf("asked %d times, limited %v", asked.Load(), s.Metrics().Limited)
	}
	c.send(`22["auth:refresh",{"name":"ada"}]`)
	c.expect(`32[{"success":true,"expiresAt":null}]`)
}

// TestQuestionsThatFailAreNoAttempts holds that a client spends one attempt, however
// often nothing can be found out, and may connect to all the namespaces it may.
func TestQuestionsThatFailAreNoAttempts(t *testing.T) {
	var asked atomic.Int32
	s := newTestServer(t, Options{}, counted(&asked, func(ctx context.Context, c *Credentials) (*Identity, error) {
		if asked.Load() <= attemptsAtOnce+DefaultNamespaces {
			return nil, errors.New("the backend is down")
		}
		return byName(ctx, c)
	}))
	s.auth.judgeRetry = time.Microsecond
	c := s.dial(engineio.WebSocket)
	c.send(`0{"name":"ada"}`)
	if m := c.next(); !strings.HasPrefix(m.text, `0{"sid"`) || s.met(LimitAuthAttempts) != 0 {
		t.Errorf("%v after %d questions", m, asked.Load())
	}
	c = s.dial(engineio.WebSocket)
	for i := range DefaultNamespaces {
		name := fmt.Sprintf("/n%d", i)
		if _, err := s.Use(name, authenticate(byName)); err != nil {
			t.Fatal(err)
		}
		c.send(`0` + name + `,{"name":"ada"}`)
		if m := c.next(); !strings.HasPrefix(m.text, "0"+name+`,{"sid"`) {
			t.Fatal(m)
		}
	}
}

// TestEndNamesTheLimit holds that the line at the end of a connection says
// which limit has ended it.
func TestEndNamesTheLimit(t *testing.T) {
	for limit, send := range map[engineio.Limit][]any{
		LimitAttachments: {"0", `511-["x"]`},
		"":               {"0", "nonsense"},
	} {
		t.Run(string(limit), func(t *testing.T) {
			s := newTestServer(t, Options{Engine: engineio.Options{LogConnections: engineio.LogAll}})
			c := s.dial(engineio.WebSocket)
			for _, m := range send {
				_ = c.trySend(m)
			}
			c.expectEnd()
			eventually(t, "the line of the end", func() bool { return len(s.logs.all("connection ended")) > 0 })
			if attrs := s.logs.all("connection ended")[0].attrs; attrs["reason"] != string(engineio.ReasonParseError) || attrs["limit"] != string(limit) {
				t.Errorf("logged %v", attrs)
			}
		})
	}
}
