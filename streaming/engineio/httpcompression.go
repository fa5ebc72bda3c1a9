package engineio

import (
	"bytes"
	"io"
	"net/http"
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

// compressPoll compresses the answer of a poll if that is wanted, worth it and
// accepted by the client, and sets the headers that say so.
func compressPoll(header http.Header, r *http.Request, payload []byte, c *Compression) []byte {
	if c == nil || len(payload) < c.Threshold {
		return payload
	}
	header.Add("Vary", "Accept-Encoding")
	best, quality := -1, 0.0
	for i := range encodings {
		if q := acceptedQuality(r.Header["Accept-Encoding"], encodings[i].name); q > quality {
			best, quality = i, q
		}
	}
	if best < 0 || header.Get("Content-Encoding") != "" {
		return payload
	}
	encoding := &encodings[best]
	w := encoding.pool.Get().(compressor)
	defer encoding.pool.Put(w)
	var compressed bytes.Buffer
	w.Reset(&compressed)
	_, _ = w.Write(payload)
	_ = w.Close()
	header.Set("Content-Encoding", encoding.name)
	return compressed.Bytes()
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
