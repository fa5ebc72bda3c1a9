package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// answersAfter is a transport in place of a backend which takes a while for each answer,
// and lets in who shows a good token.
type answersAfter struct {
	time time.Duration
	// under is how many questions are under way, most how many were.
	under, most, asked atomic.Int32
}

func (b *answersAfter) RoundTrip(r *http.Request) (*http.Response, error) {
	b.asked.Add(1)
	n := b.under.Add(1)
	defer b.under.Add(-1)
	for before := b.most.Load(); n > before && !b.most.CompareAndSwap(before, n); before = b.most.Load() {
	}
	body, _ := io.ReadAll(r.Body)
	select {
	case <-time.After(b.time):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	response := &http.Response{StatusCode: http.StatusUnauthorized, Body: io.NopCloser(strings.NewReader(""))}
	if strings.Contains(string(body), "good") {
		response.StatusCode, response.Body = http.StatusOK, io.NopCloser(strings.NewReader(`{"id":"ada"}`))
	}
	return response, nil
}

// slowBackend returns a backend that takes a while for each answer, by the clock of a
// bubble.
func slowBackend(t *testing.T, takes time.Duration, options BackendOptions) (*Backend, *answersAfter) {
	t.Helper()
	options.URL = "http://backend.example.com/"
	b, err := NewBackend(options)
	if err != nil {
		t.Fatal(err)
	}
	answers := &answersAfter{time: takes}
	b.client = &http.Client{Transport: answers}
	return b, answers
}

func showsFrom(t testing.TB, address, auth string) *streaming.Credentials {
	c := shows(t, auth)
	c.Handshake.RemoteAddr = address
	return c
}

// TestWaitingForATurnIsNotTheBackendsTime has a thousand clients come at once, as after a
// restart, and a backend that takes half a second: with 64 places that is eight seconds, four
// times the time that an answer may take.
func TestWaitingForATurnIsNotTheBackendsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, answers := slowBackend(t, 500*time.Millisecond, BackendOptions{})
		begun := time.Now()
		const clients = 1000
		var in atomic.Int32
		var running sync.WaitGroup
		for n := range clients {
			running.Go(func() {
				if _, err := b.Authenticate(t.Context(), shows(t, fmt.Sprintf(`{"good":%d}`, n))); err != nil {
					t.Error(err)
					return
				}
				in.Add(1)
			})
		}
		running.Wait()
		if took := time.Since(begun); in.Load() != clients || took != 8*time.Second || answers.most.Load() != maxAsking {
			t.Errorf("%d of %d are in after %s, %d questions at a time", in.Load(), clients, took, answers.most.Load())
		}
	})
}

// judgeAgain is how long the server waits, at least, before it asks again about a client.
const judgeAgain = 250 * time.Millisecond

// TestOneAddressDoesNotKeepTheBackendBusy has 4,000 connections of one address show bad
// tokens again and again, each another, to a backend that takes 50 ms, beside 50 honest
// clients of as many addresses.
func TestOneAddressDoesNotKeepTheBackendBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := slowBackend(t, 50*time.Millisecond, BackendOptions{})
		ctx, stop := context.WithCancel(t.Context())
		var hostile, honest sync.WaitGroup
		for n := range 4000 {
			hostile.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					_, _ = b.Authenticate(ctx, showsFrom(t, "203.0.113.9", fmt.Sprintf(`{"bad":%d,"i":%d}`, n, i)))
					time.Sleep(judgeAgain)
				}
			})
		}
		time.Sleep(time.Second)
		begun := time.Now()
		var in atomic.Int32
		for n := range 50 {
			honest.Go(func() {
				if _, err := b.Authenticate(ctx, showsFrom(t, fmt.Sprintf("192.0.2.%d", n), `{"token":"good"}`)); err != nil {
					t.Error(err)
					return
				}
				in.Add(1)
			})
		}
		honest.Wait()
		took := time.Since(begun)
		stop()
		hostile.Wait()
		if in.Load() != 50 || took > 200*time.Millisecond {
			t.Errorf("%d of 50 are in after %s", in.Load(), took)
		}
	})
}

// TestAnAddressThatIsAloneMayUseAllPlaces holds that places are shared only where there is
// somebody to share them with.
func TestAnAddressThatIsAloneMayUseAllPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, answers := slowBackend(t, time.Second, BackendOptions{})
		var running sync.WaitGroup
		for n := range maxAsking {
			running.Go(func() { _, _ = b.Authenticate(t.Context(), shows(t, fmt.Sprintf(`{"good":%d}`, n))) })
		}
		running.Wait()
		if n := answers.most.Load(); n != maxAsking {
			t.Errorf("%d questions at a time", n)
		}
	})
}

// TestTurnsGoRound holds the order in which places are given.
func TestTurnsGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(1)
		if err := p.take(t.Context(), atAddress(0)); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []int
		var running sync.WaitGroup
		leaver, leave := context.WithCancel(t.Context())
		for _, address := range []int{1, 1, 1, 2, 3, 2} {
			running.Go(func() {
				if err := p.take(t.Context(), atAddress(address)); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, address)
				mu.Unlock()
				p.give()
			})
			synctest.Wait()
		}
		running.Go(func() {
			if err := p.take(leaver, atAddress(4)); !errors.Is(err, context.Canceled) {
				t.Errorf("one that leaves: %v", err)
			}
		})
		synctest.Wait()
		if n := p.length(); n != 7 {
			t.Errorf("%d wait", n)
		}
		leave()
		synctest.Wait()
		p.give()
		running.Wait()
		if got := fmt.Sprint(order); got != "[1 2 3 1 2 1]" {
			t.Errorf("the order is %s", got)
		}
		if p.length() != 0 || len(p.lines) != 0 || p.turns.Len() != 0 || p.free != 1 {
			t.Errorf("%d wait, %d lines, %d turns, %d places", p.length(), len(p.lines), p.turns.Len(), p.free)
		}
	})
}

// TestACrowdOfOneAddressIsBounded holds that what waits of one address has a bound, that the
// backend is not blamed for it, and that others still have their turn.
func TestACrowdOfOneAddressIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := slowBackend(t, time.Minute, BackendOptions{Timeout: time.Hour})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for n := range maxAsking + maxWaiting {
			running.Go(func() { _, _ = b.Authenticate(ctx, shows(t, fmt.Sprintf(`{"good":%d}`, n))) })
		}
		synctest.Wait()
		_, err := b.Authenticate(ctx, shows(t, `{"good":"one more"}`))
		if codeOf(t, err) != streaming.CodeAuthUnavailable || !strings.Contains(err.Error(), "too many questions of this address wait") ||
			strings.Contains(err.Error(), "backend.example.com") {
			t.Errorf("one more: %v", err)
		}
		if _, err := b.Authenticate(ctx, showsFrom(t, "192.0.2.99", `{"good":1}`)); err != nil {
			t.Errorf("another address: %v", err)
		}
		stop()
		running.Wait()
	})
}

// TestAClientThatLeavesTheQueueIsNotTheBackendsFault holds what is said of a client that was
// never asked about, and that nobody is asked for it then.
func TestAClientThatLeavesTheQueueIsNotTheBackendsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, answers := slowBackend(t, time.Minute, BackendOptions{Timeout: time.Hour})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for n := range maxAsking {
			running.Go(func() { _, _ = b.Authenticate(ctx, shows(t, fmt.Sprintf(`{"good":%d}`, n))) })
		}
		synctest.Wait()
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := b.Authenticate(short, shows(t, `{"good":"late"}`))
		if codeOf(t, err) != streaming.CodeAuthUnavailable || strings.Contains(err.Error(), "backend.example.com") ||
			!strings.Contains(err.Error(), "64 questions are asked at a time") {
			t.Errorf("%v", err)
		}
		stop()
		running.Wait()
		synctest.Wait()
		if n := answers.asked.Load(); n != maxAsking || len(b.calls) != 0 || b.places.free != maxAsking {
			t.Errorf("%d were asked, %d calls are left, and %d places free", n, len(b.calls), b.places.free)
		}
	})
}

// TestEqualQuestionsAreAskedOnce holds that clients which show the same at the same time are one
// question, that the answer is for what they have shown alone, and that one who leaves takes no
// answer from the others.
func TestEqualQuestionsAreAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, answers := slowBackend(t, time.Second, BackendOptions{})
		leaver, leave := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var in, out atomic.Int32
		for n := range 100 {
			ctx := t.Context()
			if n == 0 {
				ctx = leaver
			}
			running.Go(func() {
				if _, err := b.Authenticate(ctx, shows(t, `{"token":"good"}`)); err == nil {
					in.Add(1)
				}
			})
			running.Go(func() {
				if _, err := b.Authenticate(t.Context(), shows(t, `{"token":"bad"}`)); codeOf(t, err) == streaming.CodeUnauthorized {
					out.Add(1)
				}
			})
			synctest.Wait()
		}
		leave()
		running.Wait()
		if in.Load() != 99 || out.Load() != 100 || answers.asked.Load() != 2 {
			t.Errorf("%d in, %d out, %d questions", in.Load(), out.Load(), answers.asked.Load())
		}
		// The same from another address, or in another namespace, is another question.
		other := shows(t, `{"token":"good"}`)
		other.Namespace = "/other"
		for _, c := range []*streaming.Credentials{other, showsFrom(t, "192.0.2.99", `{"token":"good"}`)} {
			if _, err := b.Authenticate(t.Context(), c); err != nil {
				t.Error(err)
			}
		}
		if answers.asked.Load() != 4 {
			t.Errorf("%d questions", answers.asked.Load())
		}
	})
}

// TestARefusalIsKeptForAMoment holds that one bad token that is shown again and again is asked
// about once in a second.
func TestARefusalIsKeptForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, answers := slowBackend(t, time.Millisecond, BackendOptions{})
		for range 500 {
			if _, err := b.Authenticate(t.Context(), shows(t, `{"token":"bad"}`)); codeOf(t, err) != streaming.CodeUnauthorized {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := answers.asked.Load(); n > 5 {
			t.Errorf("%d questions in five seconds", n)
		}
		time.Sleep(keepRefusals)
	})
}
