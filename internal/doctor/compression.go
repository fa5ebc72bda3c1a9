package doctor

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// decoded is the body without its content encoding. What is decoded is bounded as what was read is.
func (a answer) decoded() ([]byte, error) {
	var plain io.Reader
	var err error
	switch encoding := strings.ToLower(strings.TrimSpace(a.header.Get("Content-Encoding"))); encoding {
	case "", "identity":
		return a.body, nil
	case "gzip":
		plain, err = gzip.NewReader(bytes.NewReader(a.body))
	case "deflate":
		plain, err = zlib.NewReader(bytes.NewReader(a.body))
	default:
		return nil, fmt.Errorf("unknown content encoding %q", encoding)
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(plain, maxPollBody))
}

// checkCompression offers to take compressed answers and messages, and looks at what comes.
func (d *visit) checkCompression(ctx context.Context, f found) {
	at := place{"compression", f.path}
	if encoding := f.answer.header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		d.tell(Problem, at, "encoding-unasked", fmt.Sprintf("An answer is sent as %s though it was not asked for: not every client can read it.", encoding), &f.answer)
		return
	}
	header := http.Header{"Accept-Encoding": {"gzip, deflate"}}
	s, a := d.handshake(ctx, f.path, header)
	if s == nil {
		code, words := d.judgeHandshake(a)
		d.tell(Problem, at, code, "With Accept-Encoding: gzip, deflate the handshake fails. "+words, &a)
		return
	}
	s.end()
	polls := "as they are"
	if encoding := a.header.Get("Content-Encoding"); encoding != "" {
		polls = "as " + encoding + ", even short ones"
	}
	d.tell(OK, at, "compression-ok", "Polls are answered "+polls+".", nil)
}
