package doctor

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
)

// maxBody bounds the largest body that is sent, in bytes: above the limits that proxies have by
// default.
const maxBody = 2 << 20

// checkPayload posts a body as large as the server says it takes. It is a heartbeat's answer with a
// tail, which the server reads and drops.
func (d *visit) checkPayload(ctx context.Context, s *session) {
	at := place{"message size", s.path}
	limit := s.open.MaxPayload
	if limit <= 0 {
		d.skip("the size of messages on %s: the server does not say what it takes", s.path)
		return
	}
	size := min(limit, maxBody)
	if size < limit {
		d.skip("messages over %s on %s; the server takes %s", bytesInWords(size), s.path, bytesInWords(limit))
	}
	body := bytes.Repeat([]byte{'x'}, int(size))
	body[0] = '3'
	a := s.postBody(ctx, question{}, body)
	values := []string{"size", strconv.FormatInt((limit+1<<20-1)>>20, 10), "bytes", strconv.FormatInt(limit, 10)}
	switch {
	case a.err != nil && isCut(a.err):
		d.tell(Problem, at, "body-cut", fmt.Sprintf("A body of %s was cut off on the way, and the server says it takes %s.", bytesInWords(size), bytesInWords(limit)), &a, values...)
	case d.tellFailure(at, a):
	case a.status == http.StatusRequestEntityTooLarge:
		d.tell(Problem, at, "body-limit", fmt.Sprintf("A body of %s is refused as too large, and the server says it takes %s: the limit of a proxy in between is lower.", bytesInWords(size), bytesInWords(limit)), &a, values...)
	case a.status == http.StatusOK:
		d.tell(OK, at, "body-ok", fmt.Sprintf("A body of %s passes.", bytesInWords(size)), nil)
	default:
		if code, ok := a.protocolError(); ok && code == codeUnknownSID && d.astray {
			return
		}
		d.tell(Problem, at, "body-refused", fmt.Sprintf("A body of %s is refused, and the server says it takes %s.", bytesInWords(size), bytesInWords(limit)), &a, values...)
	}
}
