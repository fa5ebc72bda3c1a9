package sessions

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// The bounds of what clients of a session name.
const (
	// maxSessionID and maxContentID are in bytes.
	maxSessionID = 256
	maxContentID = 256
	// maxClientName is in characters.
	maxClientName = 128
	// maxJoined is how many sessions one client may be in.
	maxJoined = 100
)

// denial is why an event of a session is refused.
type denial struct{ code, message string }

// messages is the closed list of codes and what they mean.
var messages = make(map[string]string)

// Codes returns the codes with which [Set] refuses events, and the
// message of each.
func Codes() map[string]string { return maps.Clone(messages) }

func deny(code, message string) *denial {
	messages[code] = message
	return &denial{code, message}
}

var (
	deniedArguments       = deny("invalid_arguments", "the event needs one object, and nothing else but a callback")
	deniedSessionID       = deny("invalid_session_id", "sessionId must be a string of 1 to 256 bytes without control characters")
	deniedClientName      = deny("invalid_client_name", "clientName must be a string of 1 to 128 characters, not all blank, without control characters")
	deniedFingerprint     = deny("invalid_fingerprint", "fingerprint must be a string, binary, an object or an array that is not empty, of up to 1024 bytes")
	deniedWrong           = deny("wrong_fingerprint", "the fingerprint is not that of the session")
	deniedToken           = deny("invalid_token", "the token is not the one that the join was answered with")
	deniedReplaced        = deny(events.CodeReplaced, "the client has its place in the session on another connection")
	deniedFull            = deny("session_full", "the session has as many clients as it may have")
	deniedNoFingerprint   = deny("no_fingerprint", "the session has no fingerprint yet: one of those who are in it must join it again with theirs")
	deniedTooManySessions = deny("too_many_sessions", "there are as many sessions as there may be, or the client or its address has its share of them")
	deniedTooManyJoined   = deny("too_many_joined", "the client is in too many sessions")
	deniedTooManyRooms    = deny(streaming.CodeTooManyRooms, "the client is in too many rooms")
	deniedNotInSession    = deny("not_in_session", "the client is not in the session")
	deniedContent         = deny("invalid_content", "content must be there and not null")
	deniedChunk           = deny("invalid_chunk", "chunk must be {contentId, chunkIndex, totalChunks, encryptedData, iv}: a string of 1 to 256 bytes, "+
		"whole numbers with chunkIndex below totalChunks, and bytes, of which iv has 64 at most")
	deniedChangedTotal = deny("changed_total", "totalChunks is not what earlier chunks of the content said")
	deniedThrottled    = deny("throttled", "the event is sent too often")
	deniedBatch        = deny("invalid_batch", "a batch must be an array of objects {event, data}, and an entry's event one of join, leave, content and chunk")
	deniedBatchSize    = deny("batch_too_large", "the batch has too many entries")
	deniedNestedBatch  = deny("nested_batch", "a batch cannot be in a batch")
	deniedForbidden    = deny(streaming.CodeForbidden, "not allowed for this client")
	deniedUnknownEvent = deny(streaming.CodeUnknownEvent, "unknown event")
)

// request is an event of a session's client: one that was sent by itself, or
// an entry of a batch.
type request struct {
	socket *streaming.Socket
	name   string
	args   packet.Args
	ack    *streaming.Ack
	// object is the argument, once it has been checked.
	object packet.Object
	// volatile is true when its sender would rather have it lost than late.
	volatile bool
	// batched is true for an entry of a batch; result is then what answers it.
	batched bool
	result  any
	// welcomed is the member that the sender of a join that was accepted is.
	welcomed *member
}

func direct(e *streaming.Event) *request {
	return &request{socket: e.Socket, name: e.Name, args: e.Args, ack: e.Ack}
}

// check checks the shape of the arguments: one, and after it none that says
// something. What a client meant as a callback and is none comes as one.
func (r *request) check() *denial {
	for i, argument := range slices.Collect(r.args.All()) {
		if i > 0 && string(argument) != "null" {
			return deniedArguments
		}
	}
	if r.name == "batch" {
		return nil
	}
	var ok bool
	if r.object, ok = r.args.Object(0); !ok {
		return deniedArguments
	}
	return nil
}

func isVolatile(r *request) bool {
	object, ok := r.args.Object(0)
	return ok && string(object.Field("volatile")) == "true"
}

// sessionID returns the ID of the session that an event names.
func (r *request) sessionID() (string, *denial) {
	id, ok := r.object.Text("sessionId")
	if !ok || !validText(id, maxSessionID) {
		return "", deniedSessionID
	}
	return id, nil
}

// validText reports whether a text has 1 to most bytes and no control
// characters.
func validText(text string, most int) bool {
	return text != "" && len(text) <= most && utf8.ValidString(text) && strings.IndexFunc(text, unicode.IsControl) < 0
}

// validName reports whether a name can be shown to others: it must neither be
// blank, nor end a line or turn the direction of what comes after it.
func validName(name string) bool {
	return validText(name, utf8.UTFMax*maxClientName) && utf8.RuneCountInString(name) <= maxClientName &&
		strings.TrimSpace(name) != "" && strings.IndexFunc(name, isMisleading) < 0
}

func isMisleading(r rune) bool {
	return unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) ||
		r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// answer acknowledges an event, if its sender asked for that.
func (r *request) answer(value any) {
	if r.batched {
		r.result = value
		return
	}
	_ = r.ack.ReplyWith(value)
}

func (r *request) succeed() { r.answer(events.Success{Success: true}) }

// failure is the result of an entry of a batch that was refused.
type failure struct {
	Success bool   `json:"success"`
	Error   string `json:"error"`
	Code    string `json:"code"`
}

// refuse tells the sender that its event was not accepted. An entry of a batch
// has no acknowledgement of its own.
func (r *request) refuse(d *denial) {
	r.result = failure{Error: d.message, Code: d.code}
	refused := streaming.Event{Socket: r.socket, Name: r.name, Ack: r.ack}
	if r.batched {
		refused.Name = "batch"
	}
	if r.volatile {
		refused.RefuseQuietly(d.code, d.message)
	} else {
		refused.Refuse(d.code, d.message)
	}
}

// refusals is the policy of the set: whoever sends an event that nobody knows
// hears of it as of any other refusal.
func refusals(e *streaming.Event, refusal *streaming.EventError) {
	if refusal.Code == streaming.CodeUnknownEvent {
		refusal = &streaming.EventError{Code: refusal.Code, Message: refusal.Message}
	}
	streaming.ErrorEvents(e, refusal)
}

// batchEntry is an entry of a batch, as far as it can be read.
func batchEntry(args packet.Args, entry json.RawMessage) (name string, data packet.Args, ok bool) {
	object, ok := args.Of(entry).Object(0)
	if !ok {
		return "", packet.Args{}, false
	}
	name, ok = object.Text("event")
	return name, args.Of(object.Field("data")), ok
}

// batchAnswer is the acknowledgement of a batch.
type batchAnswer struct {
	Success bool  `json:"success"`
	Results []any `json:"results"`
}

// unkept acknowledges content that was passed on, and that late joiners will not get.
type unkept struct {
	Success bool `json:"success"`
	Kept    bool `json:"kept"`
}

// batch handles the entries of a batch as if each had been sent by itself.
func (s *service) batch(r *request) *denial {
	entries, ok := r.args.List(0)
	if !ok {
		return deniedBatch
	}
	count := 0
	for range entries {
		if count++; count > s.Batch {
			return deniedBatchSize
		}
	}
	handled := make([]*request, 0, count)
	for raw := range entries {
		name, data, ok := batchEntry(r.args, raw)
		entry := &request{socket: r.socket, name: name, args: data, batched: true}
		handler := s.handlers[name]
		switch {
		case !ok:
			entry.refuse(deniedBatch)
		case name == "batch":
			entry.refuse(deniedNestedBatch)
		case handler == nil:
			entry.refuse(deniedUnknownEvent)
		case !r.socket.MayPublish(name):
			entry.refuse(deniedForbidden)
		default:
			s.handle(entry, handler)
		}
		handled = append(handled, entry)
	}
	s.answerBatch(r, handled)
	return nil
}

// answerBatch acknowledges a batch. What the client has heard of a session since it has joined it has
// come before: the lists of members are those that there are now, and nothing changes until the
// acknowledgement is on its way.
func (s *service) answerBatch(r *request, handled []*request) {
	var joins []*request
	p := s.table.participant(r.socket)
	for _, entry := range handled {
		if m := entry.welcomed; m != nil && p.joined[m.session.id] == m {
			joins = append(joins, entry)
		}
	}
	// A session may be joined twice. All who lock several sessions do it in this order.
	slices.SortStableFunc(joins, func(a, b *request) int {
		return strings.Compare(a.welcomed.session.id, b.welcomed.session.id)
	})
	for i, entry := range joins {
		session := entry.welcomed.session
		if i == 0 || joins[i-1].welcomed.session != session {
			session.mu.Lock()
			defer session.mu.Unlock()
		}
		entry.result = session.welcome(entry.welcomed, entry.result.(joined).Missed)
	}
	results := make([]any, 0, len(handled))
	for _, entry := range handled {
		results = append(results, entry.result)
	}
	r.answer(batchAnswer{Success: true, Results: results})
}
