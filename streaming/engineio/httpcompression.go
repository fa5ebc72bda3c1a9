package engineio

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// compressor is what gzip and zlib writers have in common.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// compressionLevel compresses fast: a stream's server has better to do.
const compressionLevel = 1

// The encodings of poll answers. What HTTP calls deflate is wrapped in zlib.
// See section 8.4.1 of RFC 9110.
var encodings = []struct {
	name string
	pool sync.Pool
}{
	{name: "gzip", pool: sync.Pool{New: func() any {
		w, _ := gzip.NewWriterLevel(io.Discard, compressionLevel)
		return w
	}}},
	{name: "deflate", pool: sync.Pool{New: func() any {
		w, _ := zlib.NewWriterLevel(io.Discard, compressionLevel)
		return w
	}}},
}

// compressing has as many places as answers are compressed at a time: more would not be
// sooner, and each takes about a megabyte for what compresses it.
var compressing = make(chan struct{}, runtime.NumCPU())

// compressPoll compresses the answer of a poll if that is wanted, worth it and accepted
// by the client, and sets the headers that say so. What the answer then takes of memory
// counts: the caller takes it back. An answer for which there is no memory, see
// Options.ServerBuffer, stays as it is.
func (s *Session) compressPoll(header http.Header, r *http.Request, a *pollAnswer) {
	c := s.options.HTTPCompression
	if c == nil || a.size() < c.Threshold {
		return
	}
	header.Add("Vary", "Accept-Encoding")
	best, quality := -1, 0.0
	for i := range encodings {
		if q := acceptedQuality(r.Header["Accept-Encoding"], encodings[i].name); q > quality {
			best, quality = i, q
		}
	}
	if best < 0 || header.Get("Content-Encoding") != "" {
		return
	}
	compressing <- struct{}{}
	defer func() { <-compressing }()
	if s.server.exhausted(s.options.ServerBuffer, 100) {
		return
	}
	encoding := &encodings[best]
	w := encoding.pool.Get().(compressor)
	defer encoding.pool.Put(w)
	var compressed bytes.Buffer
	w.Reset(&compressed)
	// Writing to memory does not fail.
	_ = a.write(w, s.account)
	_ = w.Close()
	w.Reset(io.Discard)
	a.whole = compressed.Bytes()
	s.account.add(cap(a.whole))
	header.Set("Content-Encoding", encoding.name)
}

// acceptedQuality returns the weight that a client gives to an encoding, zero
// when it does not accept it. See section 12.5.3 of RFC 9110.
func acceptedQuality(accept []string, encoding string) float64 {
	quality, named := 0.0, false
	for item := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, parameters, _ := strings.Cut(item, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name != encoding && (name != "*" || named) {
			continue
		}
		named = name == encoding
		quality = 1
		if value, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameters)), "q="); ok {
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || q < 0 || q > 1 {
				q = 0
			}
			quality = q
		}
	}
	return quality
}
