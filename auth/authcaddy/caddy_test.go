package authcaddy

import (
	"strconv"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// TestAConnectionEndsWithItsCertificate holds when the identity of a connection ends: with the
// certificate, or at the greatest age, whichever is first.
func TestAConnectionEndsWithItsCertificate(t *testing.T) {
	began := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	notAfter := func(at time.Time) map[string]string {
		return map[string]string{attributeSubject: "CN=ada", attributeNotAfter: strconv.FormatInt(at.Unix(), 10)}
	}
	for name, test := range map[string]struct {
		maxAge     time.Duration
		attributes map[string]string
		want       time.Time
	}{
		"a user":                           {0, map[string]string{attributeUser: "ada"}, time.Time{}},
		"a user, at most for an hour":      {time.Hour, map[string]string{attributeUser: "ada"}, began.Add(time.Hour)},
		"a certificate":                    {0, notAfter(began.Add(time.Minute)), began.Add(time.Minute)},
		"a certificate that ends before":   {time.Hour, notAfter(began.Add(time.Minute)), began.Add(time.Minute)},
		"a certificate that ends after it": {time.Hour, notAfter(began.Add(2 * time.Hour)), began.Add(time.Hour)},
	} {
		a := &Caddy{MaxAge: caddy.Duration(test.maxAge)}
		if end := a.end(began, test.attributes); !end.Equal(test.want) {
			t.Errorf("%s: %s, want %s", name, end, test.want)
		}
	}
}

func TestMaxAgeIsNotNegative(t *testing.T) {
	if err := (&Caddy{MaxAge: -1}).Provision(caddy.Context{}); err == nil {
		t.Error("it is taken")
	}
}
