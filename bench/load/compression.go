package load

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
)

// compression is what the clients of one target that offer compression share: what they have
// inflated already.
type compression struct {
	frames, bodies *memo
}

func newCompression() *compression {
	return &compression{frames: newMemo(inflating()), bodies: newMemo(gunzipping())}
}

// deflateOffer asks for messages that each stand alone: then a server sends all clients the same
// bytes, and no client needs a window of what came before.
const deflateOffer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

var errExtension = errors.New("the server agreed to an extension in a way that was not offered")

// agreedToDeflate tells from the head of the answer to an upgrade whether the server took the
// offer, and refuses what it was not offered.
func agreedToDeflate(answer string, offered bool) (bool, error) {
	var agreed []string
	for line := range strings.SplitSeq(answer, "\r\n") {
		if name, value, found := strings.Cut(line, ":"); found && strings.EqualFold(name, "Sec-WebSocket-Extensions") {
			agreed = append(agreed, strings.TrimSpace(value))
		}
	}
	if len(agreed) == 0 {
		return false, nil
	}
	text := strings.Join(agreed, ", ")
	if !offered {
		return false, fmt.Errorf("%w: %.100q", errExtension, text)
	}
	name, parameters, _ := strings.Cut(text, ";")
	alone := false
	known := strings.EqualFold(strings.TrimSpace(name), "permessage-deflate")
	for parameter := range strings.SplitSeq(parameters, ";") {
		parameter = strings.TrimSpace(parameter)
		switch key, _, _ := strings.Cut(parameter, "="); {
		case parameter == "server_no_context_takeover":
			alone = true
		case parameter == "client_no_context_takeover":
		case key == "server_max_window_bits" && !strings.Contains(parameter, ","):
			// A smaller window makes messages that a full one reads too.
		default:
			known = false
		}
	}
	if !known || !alone {
		return false, fmt.Errorf("%w: %.100q", errExtension, text)
	}
	return true, nil
}

// deflateTail completes a compressed message, see RFC 7692 section 7.2.2: the empty block that
// senders leave out, and one that is the last.
const deflateTail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

var errInflates = errors.New("the server sent compressed data that inflates to over 1 MiB")

// format reads compressed bytes. What it returns is valid until the next call.
type format func(compressed []byte) (io.Reader, error)

// inflating reads the compressed messages of permessage-deflate.
func inflating() format {
	reader := flate.NewReader(strings.NewReader(""))
	return func(compressed []byte) (io.Reader, error) {
		source := io.MultiReader(bytes.NewReader(compressed), strings.NewReader(deflateTail))
		return reader, reader.(flate.Resetter).Reset(source, nil)
	}
}

// gunzipping reads the compressed bodies of HTTP.
func gunzipping() format {
	reader := new(gzip.Reader)
	return func(compressed []byte) (io.Reader, error) {
		return reader, reader.Reset(bytes.NewReader(compressed))
	}
}

// remembered is how many compressed messages a memo knows: more than are under way at a time.
const remembered = 32

// memo inflates. A message that stands alone is made of the same bytes for all receivers: the first
// who gets it inflates it, the others compare, which costs so little that a scenario still measures
// the server.
type memo struct {
	recent [remembered]atomic.Pointer[inflated]

	lock   sync.Mutex
	open   format
	misses int
}

// inflated is a message that was seen before. It does not change.
type inflated struct {
	compressed, content []byte
}

func newMemo(open format) *memo { return &memo{open: open} }

// content returns what the bytes are the compressed form of. It belongs to all who ask and must not
// be changed.
func (m *memo) content(compressed []byte) ([]byte, error) {
	if content, known := m.find(compressed); known {
		return content, nil
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	// Another receiver may have been first.
	if content, known := m.find(compressed); known {
		return content, nil
	}
	reader, err := m.open(compressed)
	var content []byte
	if err == nil {
		content, err = io.ReadAll(io.LimitReader(reader, maxPayload+1))
	}
	if err != nil {
		return nil, fmt.Errorf("the server sent compressed data that cannot be read: %w", err)
	}
	if len(content) > maxPayload {
		return nil, errInflates
	}
	m.recent[m.misses%remembered].Store(&inflated{bytes.Clone(compressed), content})
	m.misses++
	return content, nil
}

// inflations is how often something was inflated, which is to be about once for each message.
func (m *memo) inflations() int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.misses
}

func (m *memo) find(compressed []byte) (content []byte, known bool) {
	for i := range m.recent {
		if seen := m.recent[i].Load(); seen != nil && bytes.Equal(seen.compressed, compressed) {
			return seen.content, true
		}
	}
	return nil, false
}

// inflate replaces a compressed frame by what it stands for. Its length on the wire stays.
func (m *memo) inflate(f frame) (frame, error) {
	content, err := m.content(f.head)
	f.head, f.size, f.compressed = content[:min(len(content), headLength)], len(content), false
	return f, err
}
