package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// most bounds a whole visit, beside what it is told to wait.
const most = 3 * time.Minute

// visit is one walk through a site.
type visit struct {
	*target
	// base is the context of the visit, for what must be done after its end.
	base   context.Context
	report Report

	// tls is what every connection to the site goes by.
	tls *tls.Config
	// client keeps connections and speaks HTTP/2 where it is offered, as a browser does.
	client *http.Client
	// fresh opens a connection for each request, and speaks HTTP/1.1.
	fresh *http.Client
	// astray tells that some requests on the path that is looked at did not find the session they
	// named.
	astray bool
	// refused tells that the namespace may not be joined there, so that what is beyond it cannot be
	// seen.
	refused bool

	mu       sync.Mutex
	sessions []*session
	sockets  []*socket
	front    software
}

// Examine walks the site and returns what it found. The error means that nothing was looked at,
// because the address or an option is wrong; it says what to do.
func Examine(ctx context.Context, address string, options Options) (*Report, error) {
	t, err := parseTarget(address, options)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, most+t.Wait)
	defer cancel()
	began := time.Now()
	d := newVisit(ctx, t)
	defer d.leave()
	d.walk(ctx)
	d.report.Complete = ctx.Err() == nil
	d.report.Milliseconds = time.Since(began).Milliseconds()
	d.report.count()
	return &d.report, nil
}

func newVisit(ctx context.Context, t *target) *visit {
	d := &visit{target: t, base: ctx}
	d.report.Site = t.site.String()
	d.report.NotLookedAt = []string{}
	// The name to verify is that of the address each time: a redirect may lead to another.
	d.tls = &tls.Config{
		InsecureSkipVerify: t.Insecure,       // only when the user asks for it
		MinVersion:         tls.VersionTLS10, // so that an old server can be told from none
	}
	transport := func() *http.Transport {
		return &http.Transport{
			DialContext:            d.dialNet,
			TLSClientConfig:        d.tls.Clone(),
			TLSHandshakeTimeout:    t.Timeout,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeaderBytes,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        time.Minute,
		}
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	kept := transport()
	kept.ForceAttemptHTTP2 = true
	d.client = &http.Client{Transport: kept, CheckRedirect: stay}
	alone := transport()
	alone.DisableKeepAlives = true
	alone.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	d.fresh = &http.Client{Transport: alone, CheckRedirect: stay}
	return d
}

func (d *visit) dialNet(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: d.Timeout}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &patientConn{Conn: conn, asked: make(chan struct{})}, nil
}

// patientConn is a connection that reads nothing before something was written. What a server says
// unasked, as one that is no HTTP server does, is then taken for its answer, in place of being
// logged by net/http.
type patientConn struct {
	net.Conn
	asked chan struct{}
	once  sync.Once
}

func (c *patientConn) Read(b []byte) (int, error) {
	<-c.asked
	return c.Conn.Read(b)
}

func (c *patientConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.once.Do(func() { close(c.asked) })
	return n, err
}

func (c *patientConn) Close() error {
	c.once.Do(func() { close(c.asked) })
	return c.Conn.Close()
}

// leave closes what the visit has opened.
func (d *visit) leave() {
	for _, s := range d.sockets {
		s.end()
	}
	for _, s := range d.sessions {
		s.end()
	}
	d.client.CloseIdleConnections()
	d.fresh.CloseIdleConnections()
}

// walk is the order of the checks: each is done only when those it needs have come out well.
func (d *visit) walk(ctx context.Context) {
	if !d.checkConnection(ctx) {
		d.skip("everything behind the connection")
		return
	}
	if d.secure() {
		if !d.checkCertificate(ctx) {
			d.skip("everything behind TLS")
			return
		}
	} else {
		d.checkEncryption()
	}
	d.checkRedirect(ctx)
	found := d.checkHandshakes(ctx)
	if len(found) > 0 {
		d.checkClock(found[0].answer)
		d.checkHTTP2(found[0].answer)
	}
	var holds []hold
	for _, f := range found {
		if ctx.Err() != nil {
			return
		}
		holds = append(holds, d.examine(ctx, f))
	}
	d.checkSilence(ctx, holds)
	if ctx.Err() == nil {
		d.checkHealth(ctx)
	}
}

// examine makes the checks of one path.
func (d *visit) examine(ctx context.Context, f found) hold {
	h := hold{path: f.path}
	d.astray, d.refused = false, false
	if f.session != nil {
		h.open = f.session.open
		d.checkCompression(ctx, f)
		d.checkStickiness(ctx, f.session)
		if d.astray {
			d.skip("polling on %s: requests do not find their session", f.path)
		} else if h.polling = d.checkNamespace(ctx, f.session); h.polling {
			d.checkPayload(ctx, f.session)
		}
		f.session.end()
	}
	h.websocket = d.checkWebSocket(ctx, f)
	if f.session != nil {
		d.checkUpgrade(ctx, f, h.websocket)
		d.checkCORS(ctx, f, h.websocket)
	}
	if d.refused {
		d.skip("message size and silence on %s: they need a namespace that may be joined", f.path)
		h.polling, h.websocket = false, false
	}
	return h
}

// place is what a finding is about.
type place struct{ check, path string }

// tell adds a finding. The answer is where it was seen, and nil where there is none; values fill
// the lines that mend it.
func (d *visit) tell(status Status, at place, code, summary string, a *answer, values ...string) {
	if d.base.Err() != nil && status != OK {
		return // what fails because the visit was ended is no fault of the site's
	}
	f := Finding{Check: at.check, Path: at.path, Code: code, Status: status, Summary: summary}
	software := d.front
	if a != nil {
		if status != OK {
			f.Seen = a.seen()
		}
		if s := identify(*a); s != unknown {
			software = s
		}
	}
	if status == Problem || status == Warning {
		values = append(values, "path", at.path, "host", d.site.Hostname(), "origin", d.Origin, "namespace", d.Namespace)
		f.Mend = advise(code, software, values)
	}
	d.report.Findings = append(d.report.Findings, d.secrets.cleanFinding(f))
}

// tellFailure adds a problem when no complete answer came, and reports whether it did.
func (d *visit) tellFailure(at place, a answer) bool {
	code, words := a.failure()
	if code == "" {
		return false
	}
	d.tell(Problem, at, code, words, &a)
	return true
}

// skip notes what was not looked at.
func (d *visit) skip(format string, values ...any) {
	text := format
	if len(values) > 0 {
		text = fmt.Sprintf(format, values...)
	}
	d.report.NotLookedAt = append(d.report.NotLookedAt, d.secrets.clean(text))
}

// seconds writes a time with a tenth of a second where that says something.
func seconds(t time.Duration) string {
	text := fmt.Sprintf("%.1f s", t.Seconds())
	return strings.Replace(text, ".0 s", " s", 1)
}
