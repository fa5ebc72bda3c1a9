package sessions

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

const (
	// maxIV is how long the initialization vector of a chunk may be, in bytes.
	maxIV = 64
	// maxTotalChunks is how many chunks a content may have.
	maxTotalChunks = 1 << 24
	// maxOpenContents is of how many contents that a client has not finished
	// the number of chunks is known. Beyond it the one that was longest
	// without a chunk is forgotten.
	maxOpenContents = 64
)

// chunk is what is looked at of a part of some content.
type chunk struct {
	contentID    string
	index, total int
}

// openContent is content of which the last chunk is still to come.
type openContent struct {
	session   *session
	contentID string
	total     int
}

// chunkOf reads the chunk of an event.
func chunkOf(o packet.Object) (c chunk, ok bool) {
	object, ok := o.Object("chunk")
	if !ok {
		return c, false
	}
	var valid [5]bool
	c.contentID, valid[0] = object.Text("contentId")
	c.index, valid[1] = wholeNumber(object.Field("chunkIndex"))
	c.total, valid[2] = wholeNumber(object.Field("totalChunks"))
	_, valid[3] = bytesIn(object, "encryptedData")
	iv, valid4 := bytesIn(object, "iv")
	valid[4] = valid4
	return c, !slices.Contains(valid[:], false) && validText(c.contentID, maxContentID) &&
		c.index >= 0 && c.index < c.total && c.total <= maxTotalChunks && iv <= maxIV
}

// wholeNumber reads a number that is written without a fraction or exponent.
func wholeNumber(value json.RawMessage) (n int, ok bool) {
	if len(value) == 0 || value[0] == '"' {
		return 0, false
	}
	n, err := strconv.Atoi(string(value))
	return n, err == nil
}

// bytesIn returns how many bytes a field holds: binary, text, or an array of
// numbers below 256, which is what a typed array becomes when it is copied.
func bytesIn(o packet.Object, name string) (n int, ok bool) {
	if binary, ok := o.Binary(name); ok {
		return len(binary), true
	}
	value := o.Field(name)
	if len(value) == 0 {
		return 0, false
	}
	switch value[0] {
	case '"':
		return len(value) - len(`""`), true
	case '[':
		var numbers []uint8
		err := json.Unmarshal(value, &numbers)
		return len(numbers), err == nil
	}
	return 0, false
}

// expects reports whether a chunk says the same total as those before it. The
// last one ends the content.
func (p *participant) expects(s *session, c chunk) bool {
	i := slices.IndexFunc(p.contents, func(o openContent) bool { return o.session == s && o.contentID == c.contentID })
	if i >= 0 && p.contents[i].total != c.total {
		return false
	}
	open := openContent{session: s, contentID: c.contentID, total: c.total}
	if i >= 0 {
		p.contents = slices.Delete(p.contents, i, i+1)
	}
	if c.index == c.total-1 {
		return true
	}
	if len(p.contents) >= maxOpenContents {
		p.contents = slices.Delete(p.contents, 0, 1)
	}
	p.contents = append(p.contents, open)
	return true
}
