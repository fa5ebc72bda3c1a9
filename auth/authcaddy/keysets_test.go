package authcaddy

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestKeySetLogsToTheConfigThatRuns holds that a config which has come last, and may still fail, does
// not lead the lines of a key set elsewhere before the one that runs has ended.
func TestKeySetLogsToTheConfigThatRuns(t *testing.T) {
	issuer := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(issuer.Close)
	acquire := func() *acquiredKeySet {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		t.Cleanup(cancel)
		acquired, err := acquireKeySet(ctx, issuer.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		return acquired
	}
	release := func(a *acquiredKeySet) {
		if err := a.release(); err != nil {
			t.Error(err)
		}
	}
	running := acquire()
	expect := func(when string, want *acquiredKeySet) {
		t.Helper()
		if want.shared.logger.Current() != want.logger {
			t.Errorf("%s: it logs elsewhere", when)
		}
	}
	failed := acquire()
	expect("a config is being loaded", running)
	release(failed)
	expect("it has failed", running)
	next, again := acquire(), acquire()
	expect("another is being loaded", running)
	release(running)
	expect("the one that ran has ended", next)
	release(next)
	expect("one of its handlers has ended", again)
	release(again)
	left := 0
	keySets.Range(func(any, any) bool { left++; return true })
	if left != 0 {
		t.Errorf("%d key sets are left", left)
	}
}
