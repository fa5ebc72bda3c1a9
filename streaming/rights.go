package streaming

import (
	"slices"
	"strings"
)

// Rights are names that something is allowed for. The zero value allows it for
// all names.
type Rights struct {
	limited bool
	// exact are names, and prefixes what names begin with. Both are sorted, and no
	// prefix begins with another one, so that one search in each finds out.
	exact, prefixes []string
}

// LimitTo returns rights for the names that are given. One with a "*" at its
// end allows all names that begin with what stands before it. Without any,
// nothing is allowed.
func LimitTo(patterns ...string) Rights {
	r := Rights{limited: true}
	for _, pattern := range patterns {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			r.prefixes = append(r.prefixes, prefix)
		} else {
			r.exact = append(r.exact, pattern)
		}
	}
	slices.Sort(r.exact)
	slices.Sort(r.prefixes)
	kept := r.prefixes[:0]
	for _, prefix := range r.prefixes {
		if len(kept) == 0 || !strings.HasPrefix(prefix, kept[len(kept)-1]) {
			kept = append(kept, prefix)
		}
	}
	r.prefixes = kept
	return r
}

// Allow reports whether a name is allowed. It takes the time of two binary
// searches, however many names there are.
func (r Rights) Allow(name string) bool {
	if !r.limited {
		return true
	}
	if _, ok := slices.BinarySearch(r.exact, name); ok {
		return true
	}
	at, ok := slices.BinarySearch(r.prefixes, name)
	// A prefix of the name is the last one that does not come after it.
	return ok || at > 0 && strings.HasPrefix(name, r.prefixes[at-1])
}

// MayJoin reports whether the client may join a room, and so whether it may get
// what is sent in the name of that room.
func (s *Socket) MayJoin(room string) bool {
	identity := s.Identity()
	return identity == nil || identity.Rooms.Allow(room)
}

// MayStart reports whether the client may begin something in the name of a room,
// such as a stream. It goes by the rights to join where the identity has no
// rights of its own for that.
func (s *Socket) MayStart(room string) bool {
	identity := s.Identity()
	switch {
	case identity == nil:
		return true
	case identity.Start.limited:
		return identity.Start.Allow(room)
	default:
		return identity.Rooms.Allow(room)
	}
}

// MayPublish reports whether the client may send an event. Whoever handles an
// event has been asked already; a handler that takes one event for several
// others asks for each.
func (s *Socket) MayPublish(event string) bool {
	identity := s.Identity()
	return identity == nil || event == refreshEvent || identity.Publish.Allow(event)
}

// ErrForbidden refuses what the client's identity does not allow. It is an
// [*EventError].
var ErrForbidden error = &EventError{Code: CodeForbidden, Message: "the client's identity does not allow it"}
