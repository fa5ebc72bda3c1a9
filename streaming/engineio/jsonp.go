package engineio

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// JSONP is long-polling by script elements, for browsers of long ago: the answer of a poll is a call of
// a function with the payload, and a POST is a form that has it. Clients up to Socket.IO 4.2 can be told
// to use it. See the parameter j in revision 3 of the Engine.IO protocol.

// callOf returns the number of the function that the answer to a poll is to call, or "" if the client
// does not poll by script elements.
func (o *Options) callOf(r *http.Request) string {
	if !o.AllowRevision3 || !strings.Contains(r.URL.RawQuery, "j=") {
		return ""
	}
	number := r.URL.Query().Get("j")
	if number == "" || len(number) > 10 || strings.Trim(number, "0123456789") != "" {
		return ""
	}
	return number
}

// callOf is callOf of the options for a poll of the session. One that has begun otherwise, and takes bytes,
// gets no scripts, which have none.
func (s *Session) callOf(r *http.Request) string {
	if s.form == wire.Bytes3 {
		return ""
	}
	return s.options.callOf(r)
}

// script makes the answer a call of a function.
func (a *pollAnswer) script(number string, count *account) {
	// It is in memory some times over while it is made.
	meanwhile := 3 * a.size()
	count.add(meanwhile)
	defer count.add(-meanwhile)
	var payload bytes.Buffer
	// Writing to memory does not fail.
	_ = a.write(&payload, count)
	// A string of JSON is one of JavaScript as well: line separators are escaped, too.
	text, _ := json.Marshal(payload.String())
	a.whole = append(append(append([]byte("___eio["+number+"]("), text...), ')'), ';')
	a.contentType = "text/javascript; charset=UTF-8"
	count.add(cap(a.whole))
}

// checkScript is checkOrigin for script elements, which say in Referer alone of which page they are. Any
// page could read what the answer to one holds, in its visitor's name.
func checkScript(r *http.Request, options *Options) bool {
	if r.Header.Get("Sec-Fetch-Site") == "same-origin" {
		return true
	}
	origin := "null"
	if page, err := url.Parse(r.Referer()); err == nil && page.Host != "" {
		origin = page.Scheme + "://" + page.Host
	}
	asked := *r
	asked.Header = http.Header{"Origin": {origin}}
	return options.CheckOrigin(&asked)
}

// isForm reports whether a POST is one of JSONP.
func isForm(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.TrimSpace(kind) == "application/x-www-form-urlencoded"
}

// formBody returns the payload of a form, which is no longer than the form.
func (s *Session) formBody(form []byte) (payload []byte, refusal *RequestError) {
	meanwhile := 3 * len(form)
	s.Keep(meanwhile)
	defer s.Keep(-meanwhile)
	payload, ok := formPayload(form)
	if !ok {
		s.fail(ReasonParseError)
		return nil, refuse(CodeBadRequest, "malformed payload")
	}
	return payload, nil
}

// formPayload returns the payload of a form. Clients write line ends as \n, and what was that already
// with one more backslash, since forms change line ends.
func formPayload(body []byte) (payload []byte, ok bool) {
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["d"]) != 1 {
		return nil, false
	}
	text := form.Get("d")
	payload = make([]byte, 0, len(text))
	for len(text) > 0 {
		switch {
		case strings.HasPrefix(text, `\\n`):
			payload, text = append(payload, `\n`...), text[3:]
		case strings.HasPrefix(text, `\n`):
			payload, text = append(payload, '\n'), text[2:]
		default:
			payload, text = append(payload, text[0]), text[1:]
		}
	}
	return payload, true
}
