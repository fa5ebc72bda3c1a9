package doctor

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestSecretsAreNotPrinted(t *testing.T) {
	var mu sync.Mutex
	var sids []string
	seen := regexp.MustCompile(`"sid":"([^"]+)"`)
	s := newSite(t, noOptions, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !isHandshake(r) {
				next.ServeHTTP(w, r)
				return
			}
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			if match := seen.FindStringSubmatch(recorder.Body.String()); match != nil {
				mu.Lock()
				sids = append(sids, match[1])
				mu.Unlock()
			}
			w.Header().Set("Server", "tells token-of-mine, hunter2-hunter2, "+r.Header.Get("X-Key"))
			_, _ = w.Write(recorder.Body.Bytes())
		})
	})
	// A server that repeats to the client what it must not say.
	leaking := newSite(t, noOptions, instead(always, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no: "+r.Header.Get("Authorization")+" "+r.Header.Get("X-Key")+` {"sid":"of-somebody-else"}`+"\x1b[2J", 400)
	}))
	for _, at := range []*site{s, leaking} {
		at.options.Auth = `{"token":"token-of-mine","deep":[{"word":"deep-secret"}]}`
		at.options.Header = http.Header{"X-Key": {"key-of-mine"}}
		at.options.Namespace = "/nope"
		address := strings.Replace(at.front.URL, "http://", "http://me:hunter2-hunter2@", 1)
		report := examine(t, address, at.options)
		var asJSON bytes.Buffer
		if err := report.WriteJSON(&asJSON); err != nil {
			t.Fatal(err)
		}
		for _, printed := range []string{text(t, report), asJSON.String()} {
			for _, secret := range append(sids, "token-of-mine", "deep-secret", "key-of-mine", "hunter2", "bWU6aHVudGVyMi1odW50ZXIy", "of-somebody-else", "\x1b") {
				if strings.Contains(printed, secret) {
					t.Errorf("%q is printed:\n%s", secret, printed)
				}
			}
		}
	}
	if len(sids) == 0 {
		t.Error("no session was seen")
	}
	awaitEmpty(t, s.server)
}

func TestReport(t *testing.T) {
	report := &Report{
		Site: "https://example.com", Complete: true,
		Findings: []Finding{
			{Check: "handshake", Path: "/socket.io/", Code: "handshake-ok", Status: OK, Summary: "Fine."},
			{Check: "websocket", Path: "/socket.io/", Code: "websocket-refused", Status: Problem, Summary: strings.Repeat("word ", 30), Seen: "GET /socket.io/ answered 400",
				Mend: []Mend{{Where: "nginx", Lines: []string{"proxy_http_version 1.1;"}}}},
			{Check: "clock", Code: "clock-skew", Status: Warning, Summary: "Late."},
		},
		NotLookedAt: []string{"silence: --wait 70s"},
	}
	report.count()
	if report.Healthy || report.Problems != 1 || report.Warnings != 1 {
		t.Errorf("%+v", report)
	}
	printed := text(t, report)
	for _, want := range []string{"clock-skew", "[websocket-refused]", "\n/socket.io/\n", "proxy_http_version 1.1;", "Not looked at\n  silence: --wait 70s\n", "1 problem, 1 warning."} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q is missing:\n%s", want, printed)
		}
	}
	if strings.Index(printed, "clock-skew") > strings.Index(printed, "handshake") {
		t.Errorf("the site comes after its paths:\n%s", printed)
	}
	for line := range strings.SplitSeq(printed, "\n") {
		if len(line) > width {
			t.Errorf("a line of %d characters: %q", len(line), line)
		}
	}
	var coloured, asJSON bytes.Buffer
	if err := report.WriteText(&coloured, true); err != nil || !strings.Contains(coloured.String(), "\x1b[1;31mproblem") {
		t.Errorf("%v %q", err, coloured.String())
	}
	var back Report
	if err := report.WriteJSON(&asJSON); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(asJSON.Bytes(), &back); err != nil || len(back.Findings) != 3 || back.Findings[1].Mend[0].Lines[0] != "proxy_http_version 1.1;" {
		t.Errorf("%v %+v", err, back)
	}
}

// Every placeholder in the advice must be one that a finding fills.
func TestAdviceIsFilledIn(t *testing.T) {
	values := []string{"path", "/socket.io/", "host", "example.com", "origin", app, "namespace", "/chat",
		"size", "1", "bytes", "1000000", "seconds", "44", "interval", "2s", "own", "https://example.com", "target", "https://example.com/", "found", "/x/"}
	kebab := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	left := regexp.MustCompile(`\{(path|host|origin|namespace|size|bytes|seconds|interval|own|target|found|upstream)\}`)
	for code := range remedies {
		if !kebab.MatchString(code) {
			t.Errorf("%q is not in kebab case", code)
		}
		for _, answered := range []software{unknown, nginx, apache, haproxy, caddyProxy, plugin, node, cloudflare, balancer} {
			for _, mend := range advise(code, answered, values) {
				if printed := mend.Where + strings.Join(mend.Lines, ""); left.MatchString(printed) {
					t.Errorf("%s, %s: %q", code, answered, printed)
				}
				if mend.Where == "" || len(mend.Lines) == 0 {
					t.Errorf("%s, %s: %+v", code, answered, mend)
				}
			}
		}
	}
}

func TestSoftwareIsRecognised(t *testing.T) {
	for header, want := range map[string]software{
		"Server: nginx/1.22.1": nginx, "Server: openresty": nginx, "Server: Apache/2.4.57 (Debian)": apache, "Via: 1.1 haproxy": haproxy,
		"Via: 1.1 Caddy": caddyProxy, "Server: Caddy": plugin, "Server: cloudflare": cloudflare, "X-Powered-By: Express": node,
		"Server: awselb/2.0": balancer, "Server: something": unknown,
	} {
		name, value, _ := strings.Cut(header, ": ")
		if got := identify(answer{header: http.Header{name: {value}}}); got != want {
			t.Errorf("%s is taken for %q, want %q", header, got, want)
		}
	}
}
