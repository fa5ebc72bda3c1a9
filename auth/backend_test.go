package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

func newBackend(t testing.TB, options BackendOptions) *Backend {
	t.Helper()
	b, err := NewBackend(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// TestBackendIsAsked holds what a backend is told, and what is kept from it.
func TestBackendIsAsked(t *testing.T) {
	var body string
	var header http.Header
	var method string
	i := newIssuer(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		body, header, method = string(data), r.Header, r.Method
		_, _ = io.WriteString(w, `{"id":"ada","rooms":["a","b*"],"start":"stream:ada-* b","publish":"chat typing","expires":4102444800,"claims":{"name":"Ada"},"more":1}`)
	})
	b := newBackend(t, BackendOptions{URL: i.URL + "/auth?key=k", ForwardHeaders: []string{"cookie", "Authorization", "X-None"}})
	c := shows(t, `{"password":"secret"}`)
	c.Namespace = "/chat"
	c.Handshake.URL += "&room=1&room=2"
	c.Handshake.Header = http.Header{"Cookie": {"a=b"}, "Authorization": {"Basic x"}, "X-Other": {"no"}}
	identity, err := b.Authenticate(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	if identity.ID != "ada" || identity.Method != "http" || !identity.Rooms.Allow("bc") || identity.Rooms.Allow("c") ||
		!identity.Start.Allow("stream:ada-1") || !identity.Start.Allow("b") || identity.Start.Allow("a") ||
		!identity.Publish.Allow("typing") || identity.Publish.Allow("x") || identity.Expires.Unix() != 4102444800 || string(identity.Claims["name"]) != `"Ada"` {
		t.Errorf("%+v", identity)
	}
	const want = `{"namespace":"/chat","auth":{"password":"secret"},"refresh":false,"handshake":{"address":"192.0.2.7","secure":true,"query":{"room":["1","2"]}}}`
	if body != want || method != "POST" {
		t.Errorf("%s %s, want %s", method, body, want)
	}
	if header.Get("Cookie") != "a=b" || header.Get("Authorization") != "Basic x" || header["X-Other"] != nil || header.Get("Content-Type") != "application/json" {
		t.Errorf("header %v", header)
	}
}

// TestBackendAnswers holds which answers let a client in.
func TestBackendAnswers(t *testing.T) {
	elsewhere := newIssuer(t, says(`{"id":"ada"}`))
	status := func(code int, text string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, text)
		}
	}
	const good = `{"id":"ada"}`
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		code   string
	}{
		"good":         {says(good), ""},
		"no end":       {says(`{"id":"ada","expires":null}`), ""},
		"rooms null":   {says(`{"id":"ada","rooms":null}`), streaming.CodeAuthUnavailable},
		"start null":   {says(`{"id":"ada","start":null}`), streaming.CodeAuthUnavailable},
		"publish null": {says(`{"id":"ada","publish": null }`), streaming.CodeAuthUnavailable},
		"401":          {status(401, good), streaming.CodeUnauthorized},
		"403":          {status(403, good), streaming.CodeForbidden},
		"201":          {status(201, good), streaming.CodeAuthUnavailable},
		"204":          {status(204, ""), streaming.CodeAuthUnavailable},
		"404":          {status(404, good), streaming.CodeAuthUnavailable},
		"429":          {status(429, good), streaming.CodeAuthUnavailable},
		"500":          {status(500, good), streaming.CodeAuthUnavailable},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, streaming.CodeAuthUnavailable},
		"redirect on site": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, streaming.CodeAuthUnavailable},
		"empty":            {says(""), streaming.CodeAuthUnavailable},
		"text":             {says("ok"), streaming.CodeAuthUnavailable},
		"a list":           {says("[" + good + "]"), streaming.CodeAuthUnavailable},
		"two":              {says(good + good), streaming.CodeAuthUnavailable},
		"id twice":         {says(`{"id":"ada","id":"root"}`), streaming.CodeAuthUnavailable},
		"no id":            {says(`{}`), streaming.CodeAuthUnavailable},
		"id null":          {says(`{"id":null}`), streaming.CodeAuthUnavailable},
		"id a number":      {says(`{"id":7}`), streaming.CodeAuthUnavailable},
		"id empty":         {says(`{"id":""}`), streaming.CodeAuthUnavailable},
		"id too long":      {says(`{"id":"` + long(300) + `"}`), streaming.CodeAuthUnavailable},
		"id of lines":      {says(`{"id":"a\nb"}`), streaming.CodeAuthUnavailable},
		"rooms a number":   {says(`{"id":"ada","rooms":7}`), streaming.CodeAuthUnavailable},
		"rooms true":       {says(`{"id":"ada","rooms":true}`), streaming.CodeAuthUnavailable},
		"start a number":   {says(`{"id":"ada","start":7}`), streaming.CodeAuthUnavailable},
		"publish nested":   {says(`{"id":"ada","publish":[["x"]]}`), streaming.CodeAuthUnavailable},
		"expires text":     {says(`{"id":"ada","expires":"2040-01-01"}`), streaming.CodeAuthUnavailable},
		"expires huge":     {says(`{"id":"ada","expires":1e300}`), streaming.CodeAuthUnavailable},
		"expires negative": {says(`{"id":"ada","expires":-5}`), streaming.CodeAuthUnavailable},
		"expired":          {says(`{"id":"ada","expires":1}`), streaming.CodeTokenExpired},
		"claims a list":    {says(`{"id":"ada","claims":[]}`), streaming.CodeAuthUnavailable},
		"huge":             {says(`{"id":"ada","x":"` + long(maxBackendAnswer) + `"}`), streaming.CodeAuthUnavailable},
		"deep":             {says(`{"id":"ada","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`), streaming.CodeAuthUnavailable},
		"a broken connection": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, good)
			panic(http.ErrAbortHandler)
		}, streaming.CodeAuthUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, test.answer)
			b := newBackend(t, BackendOptions{URL: i.URL + "/?key=not-to-be-logged"})
			_, err := b.Authenticate(context.Background(), shows(t, `{"token":"not-to-be-logged"}`))
			if got := codeOf(t, err); got != test.code {
				t.Errorf("the code is %q, want %q: %v", got, test.code, err)
			}
			if err != nil && strings.Contains(err.Error(), "not-to-be-logged") {
				t.Errorf("the reason has credentials: %v", err)
			}
		})
	}
	if n := elsewhere.fetches.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

func TestBackendIsDownOrSlow(t *testing.T) {
	i := newIssuer(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	b := newBackend(t, BackendOptions{URL: i.URL, Timeout: 50 * time.Millisecond})
	// More than may ask at the same time: all are told.
	var running sync.WaitGroup
	for n := range 2 * maxAsking {
		running.Go(func() {
			if _, err := b.Authenticate(context.Background(), shows(t, fmt.Sprintf(`{"n":%d}`, n))); codeOf(t, err) != streaming.CodeAuthUnavailable {
				t.Error(err)
			}
		})
	}
	running.Wait()
	i.stop()
	if _, err := b.Authenticate(context.Background(), shows(t, `{}`)); codeOf(t, err) != streaming.CodeAuthUnavailable {
		t.Error(err)
	}
	// A client that leaves is not waited for.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Authenticate(ctx, shows(t, `{}`)); codeOf(t, err) != streaming.CodeAuthUnavailable {
		t.Error(err)
	}
}

func TestBackendIsAskedByFewAtATime(t *testing.T) {
	var now, most atomic.Int32
	let := make(chan struct{})
	i := newIssuer(t, func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for {
			before := most.Load()
			if n <= before || most.CompareAndSwap(before, n) {
				break
			}
		}
		<-let
		_, _ = io.WriteString(w, `{"id":"ada"}`)
	})
	b := newBackend(t, BackendOptions{URL: i.URL, Timeout: patience})
	var running sync.WaitGroup
	for n := range 3 * maxAsking {
		running.Go(func() {
			if _, err := b.Authenticate(context.Background(), shows(t, fmt.Sprintf(`{"n":%d}`, n))); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all places to be taken", func() bool { return now.Load() == maxAsking })
	close(let)
	running.Wait()
	if most.Load() > maxAsking {
		t.Errorf("%d questions at a time", most.Load())
	}
}

func TestWhatClientsShowABackendIsChecked(t *testing.T) {
	i := newIssuer(t, says(`{"id":"ada"}`))
	b := newBackend(t, BackendOptions{URL: i.URL})
	for _, auth := range []string{`{"a":1,"a":2}`, `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "{\"a\":\"\xff\"}"} {
		if _, err := b.Authenticate(context.Background(), shows(t, auth)); codeOf(t, err) != streaming.CodeInvalidToken {
			t.Errorf("%q: %v", auth, err)
		}
	}
	if n := i.fetches.Load(); n != 0 {
		t.Errorf("the backend was asked %d times", n)
	}
}

func TestBackendCache(t *testing.T) {
	var fail atomic.Bool
	i := newIssuer(t, func(w http.ResponseWriter, r *http.Request) {
		var q question
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || fail.Load() {
			w.WriteHeader(401)
			return
		}
		fmt.Fprintf(w, `{"id":%q}`, r.Header.Get("Cookie")+string(q.Auth))
	})
	b := newBackend(t, BackendOptions{URL: i.URL, Cache: time.Hour, ForwardHeaders: []string{"Cookie"}})
	b.refused = newCache(time.Millisecond)
	ask := func(auth, cookie string) string {
		c := shows(t, auth)
		if cookie != "" {
			c.Handshake.Header = http.Header{"Cookie": {cookie}}
		}
		identity, err := b.Authenticate(context.Background(), c)
		if err != nil {
			return codeOf(t, err)
		}
		return identity.ID
	}
	for range 3 {
		for _, pair := range [][2]string{{`{"a":1}`, ""}, {`{"a":2}`, ""}, {`{"a":1}`, "c"}, {`{"a":1}`, "d"}} {
			if got := ask(pair[0], pair[1]); got != pair[1]+pair[0] {
				t.Errorf("%q gets %q", pair, got)
			}
		}
	}
	if n := i.fetches.Load(); n != 4 {
		t.Errorf("%d questions, want 4", n)
	}
	// A refusal is not kept for long.
	fail.Store(true)
	if got := ask(`{"a":3}`, ""); got != streaming.CodeUnauthorized {
		t.Error(got)
	}
	fail.Store(false)
	eventually(t, "another answer", func() bool { return ask(`{"a":3}`, "") == `{"a":3}` })
}

// TestBackendForgets holds that who is forgotten is asked about anew, and nobody else.
func TestBackendForgets(t *testing.T) {
	var refuse atomic.Bool
	i := newIssuer(t, func(w http.ResponseWriter, r *http.Request) {
		if refuse.Load() {
			w.WriteHeader(403)
			return
		}
		var q struct{ Auth struct{ Name string } }
		_ = json.NewDecoder(r.Body).Decode(&q)
		fmt.Fprintf(w, `{"id":%q}`, q.Auth.Name)
	})
	b := newBackend(t, BackendOptions{URL: i.URL, Cache: time.Hour})
	ask := func(auth string) string {
		_, err := b.Authenticate(context.Background(), shows(t, auth))
		return codeOf(t, err)
	}
	for _, auth := range []string{`{"name":"ada"}`, `{"name":"ada","tab":2}`, `{"name":"bob"}`} {
		if got := ask(auth); got != "" {
			t.Fatal(got)
		}
	}
	refuse.Store(true)
	if got := ask(`{"name":"ada"}`); got != "" {
		t.Errorf("%s though it is remembered", got)
	}
	b.Forget("ada")
	b.Forget("nobody")
	for auth, want := range map[string]string{
		`{"name":"ada"}`: streaming.CodeForbidden, `{"name":"ada","tab":2}`: streaming.CodeForbidden, `{"name":"bob"}`: "",
	} {
		if got := ask(auth); got != want {
			t.Errorf("%s: %q, want %q", auth, got, want)
		}
	}
	newBackend(t, BackendOptions{URL: i.URL}).Forget("ada")
}

// receive returns what comes over a channel.
func receive[T any](t *testing.T, c <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(30 * time.Second):
		t.Fatal("waited in vain")
	}
	return value
}

// TestBackendForgetsWhatIsUnderWay holds that an answer to what was asked before somebody is forgotten is neither kept
// nor given to who asks after that.
func TestBackendForgetsWhatIsUnderWay(t *testing.T) {
	asked := make(chan chan string)
	i := newIssuer(t, func(w http.ResponseWriter, _ *http.Request) {
		answer := make(chan string)
		asked <- answer
		if id := <-answer; id != "" {
			fmt.Fprintf(w, `{"id":%q}`, id)
			return
		}
		w.WriteHeader(403)
	})
	b := newBackend(t, BackendOptions{URL: i.URL, Cache: time.Hour, Timeout: time.Minute})
	b.refused = newCache(time.Hour)
	got := make(chan string, 2)
	ask := func() {
		_, err := b.Authenticate(context.Background(), shows(t, `{"name":"ada"}`))
		got <- codeOf(t, err)
	}
	go ask()
	first := receive(t, asked)
	b.Forget("ada")
	go ask()
	second := receive(t, asked) // it is a question of its own
	first <- "ada"
	if code := <-got; code != "" {
		t.Errorf("%q", code)
	}
	go ask() // it shares the second one, as nothing is kept of the first
	second <- ""
	for range 2 {
		if code := <-got; code != streaming.CodeForbidden {
			t.Errorf("%q", code)
		}
	}
}

// TestBackendSaysWhichField holds that an answer that cannot be used is described.
func TestBackendSaysWhichField(t *testing.T) {
	for answer, want := range map[string]string{
		`{"id":7}`:                     `the answer has "id" of a wrong type: it has to be text`,
		`{"id":"a","expires":"1"}`:     `the answer has "expires" of a wrong type: it has to be a number`,
		`{"id":"a","claims":[]}`:       `the answer has "claims" of a wrong type: it has to be an object`,
		`{"id":"a","publish":null}`:    `the answer has null as publish, which is neither everything nor nothing: leave it out for everything, or say [] for nothing`,
		`{"id":"a","rooms":{"a":"b"}}`: `the answer has a field rooms that`,
	} {
		i := newIssuer(t, says(answer))
		_, err := newBackend(t, BackendOptions{URL: i.URL}).Authenticate(context.Background(), shows(t, `{}`))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

func TestBackendOptions(t *testing.T) {
	for name, options := range map[string]BackendOptions{
		"no URL":          {},
		"no host":         {URL: "http://"},
		"another scheme":  {URL: "unix:///run/auth.sock"},
		"a password":      {URL: "https://a:b@example.com/"},
		"the length":      {URL: "https://example.com", ForwardHeaders: []string{"content-length"}},
		"the host":        {URL: "https://example.com", ForwardHeaders: []string{"Host"}},
		"the connection":  {URL: "https://example.com", ForwardHeaders: []string{"connection"}},
		"the WebSocket's": {URL: "https://example.com", ForwardHeaders: []string{"sec-websocket-key"}},
		"no name":         {URL: "https://example.com", ForwardHeaders: []string{""}},
		"a line break":    {URL: "https://example.com", ForwardHeaders: []string{"a\nb"}},
	} {
		if _, err := NewBackend(options); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

// FuzzAnswer reads anything as a backend's answer.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"id":"ada","rooms":["a"],"publish":"b c","expires":1e9,"claims":{"x":null}}`))
	f.Add([]byte(`{"id":"ada","ID":"root","rooms":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		identity, err := parseAnswer(data)
		if err == nil && (identity == nil || checkID(identity.ID) != nil) {
			t.Fatal(errors.New("an identity without an ID"))
		}
	})
}
