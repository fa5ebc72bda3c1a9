package sessions

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// poller is a client on long-polling. It polls all the time.
type poller struct {
	t      *testing.T
	polls  *rawclient.Poller
	id     string
	come   chan string
	failed chan error
}

func (s *server) poller(t *testing.T) *poller {
	t.Helper()
	raw := rawclient.New(s.URL)
	raw.Timeout = 2 * eventstest.Patience
	t.Cleanup(raw.Close)
	polls, err := raw.Handshake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := &poller{t: t, polls: polls, come: make(chan string, 100), failed: make(chan error, 1)}
	go func() {
		for {
			packets, err := polls.Poll(t.Context())
			if err != nil {
				p.failed <- err
				return
			}
			for _, packet := range packets {
				p.come <- packet
			}
			if slices.Contains(packets, "1") {
				return
			}
		}
	}()
	p.send("0")
	var connected struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(p.next(), "40")), &connected); err != nil {
		t.Fatal(err)
	}
	p.id = connected.SID
	return p
}

// send posts a packet, and waits for the answer to the POST.
func (p *poller) send(text string) {
	p.t.Helper()
	if answer, err := p.polls.Post(p.t.Context(), "4"+text); err != nil || answer.Body != "ok" {
		p.t.Fatalf("posted: %v, %v", answer, err)
	}
}

// next returns the next packet.
func (p *poller) next() string {
	p.t.Helper()
	select {
	case packet := <-p.come:
		return packet
	case err := <-p.failed:
		p.t.Fatal(err)
		return ""
	}
}

// enters joins a session, and returns the token.
func (p *poller) enters(session, name string, more ...string) (token string) {
	p.t.Helper()
	p.send(joinText(session, name, more...))
	return p.entered()
}

// entered reads up to the acknowledgement of a join.
func (p *poller) entered() (token string) {
	p.t.Helper()
	for {
		if text, ok := strings.CutPrefix(p.next(), "4399["); ok {
			var answer joinAnswer
			if err := json.Unmarshal([]byte(strings.TrimSuffix(text, "]")), &answer); err != nil || !answer.Success {
				p.t.Fatalf("%s: %v", text, err)
			}
			return answer.Token
		}
	}
}

// A client comes back while a reload holds back the answers of all requests. It takes its place at
// once; the old connection hears of it, and of its end, when the answers go on; and so does the new one,
// if it is on long-polling as well, without anything of the session being lost to it.
func TestPlaceIsTakenWhileAReloadHoldsAnswers(t *testing.T) {
	s := newServer(t, &Set{})
	old, ben := s.poller(t), s.Connect()
	token := old.enters("room", "Ann")
	ben.enters("room", "Ben")
	if got, want := old.next(), "4"+joinedText("room", ben.ID, "Ben"); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	back := s.poller(t)

	release := s.Hold()
	t.Cleanup(release)
	joined := make(chan string)
	go func() {
		// Its answer is held as well.
		_, _ = back.polls.Post(t.Context(), "4"+joinText("room", "Ann", withToken(token)))
		joined <- back.entered()
	}()
	eventstest.Eventually(t, "the place to be taken", func() bool {
		socket := s.table().holder(old.id)
		return socket != nil && socket.ID() == back.id
	})
	ben.Send(`2["content",{"sessionId":"room","content":"meanwhile"}]`)
	ben.ExpectNothing()
	select {
	case packet := <-old.come:
		t.Errorf("an answer was not held: %s", packet)
	default:
	}
	release()

	if again := <-joined; again != token {
		t.Errorf("the token of the place is %q, was %q", again, token)
	}
	if got, want := back.next(), "4"+contentText("room", ben.ID, `"content":"meanwhile"`); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, want := range []string{"4" + replacedText("room"), "41", "1"} {
		if got := old.next(); got != want {
			t.Errorf("the old connection gets %s, want %s", got, want)
		}
	}
	ben.ExpectNothing()
	if got := s.stats(); got.Clients != 2 {
		t.Errorf("%+v", got)
	}
}
