package doctor

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// Status is how a check came out.
type Status string

// The statuses. Only a problem makes the visit fail.
const (
	// OK is what is as it should be.
	OK Status = "ok"
	// Note is worth knowing and asks for nothing.
	Note Status = "note"
	// Warning is what harms some clients, or will harm some day.
	Warning Status = "warning"
	// Problem is what keeps clients from connecting, or loses what they send.
	Problem Status = "problem"
)

// Finding is the outcome of one check.
type Finding struct {
	// Check names what was looked at, such as "handshake".
	Check string `json:"check"`
	// Path is the Socket.IO path the check was about, empty where it was about the site.
	Path string `json:"path,omitempty"`
	// Code names the outcome, in kebab case. It is stable: scripts may rely on it.
	Code   string `json:"code"`
	Status Status `json:"status"`
	// Summary says the outcome in words.
	Summary string `json:"summary"`
	// Seen is where it was seen: the request, the status, the header.
	Seen string `json:"seen,omitempty"`
	// Mend holds the lines that mend it, one entry for each place where they may have to go.
	Mend []Mend `json:"mend,omitempty"`
}

// Mend is what to change in one place.
type Mend struct {
	// Where names the software, and the place in its configuration.
	Where string `json:"where"`
	// Lines are to be put there as they are.
	Lines []string `json:"lines"`

	// needs names the value without which it says nothing.
	needs string
	// direct tells that it is for the software that answered, and not for one that may be behind
	// it.
	direct bool
}

// Report is what a visit found.
type Report struct {
	// Site is the address that was visited, without credentials.
	Site string `json:"site"`
	// Complete tells that the visit came to its end. It does not when it is interrupted, or takes
	// too long.
	Complete bool `json:"complete"`
	// Healthy tells that it is complete and found no problem; there may be warnings.
	Healthy  bool      `json:"healthy"`
	Problems int       `json:"problems"`
	Warnings int       `json:"warnings"`
	Findings []Finding `json:"findings"`
	// NotLookedAt says what the visit left out, and how to have it looked at.
	NotLookedAt []string `json:"notLookedAt"`
	// Milliseconds is how long the visit took.
	Milliseconds int64 `json:"milliseconds"`
}

// count sets the sums.
func (r *Report) count() {
	r.Problems, r.Warnings = 0, 0
	for _, f := range r.Findings {
		switch f.Status {
		case Problem:
			r.Problems++
		case Warning:
			r.Warnings++
		case OK, Note:
		}
	}
	r.Healthy = r.Complete && r.Problems == 0
}

// hasAt reports whether there is a finding of that code about that path.
func (r *Report) hasAt(code, path string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == code && f.Path == path })
}

// secrets are texts that must not be printed: session IDs, and what the user gave as credentials.
type secrets struct {
	mu    sync.Mutex
	texts []string
}

// shortestSecret, in bytes, keeps "1" in a header of the user's from blotting every digit out.
const shortestSecret = 4

func (s *secrets) add(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(text) >= shortestSecret && !slices.Contains(s.texts, text) {
		s.texts = append(s.texts, text)
	}
}

// anySID finds session IDs the visit does not know, in the bodies of answers.
var anySID = regexp.MustCompile(`("sid"\s*:\s*"|\bsid=)[^"&\s]+`)

// clean makes a text fit for a terminal: what a server sent may hold anything.
func (s *secrets) clean(text string) string {
	s.mu.Lock()
	for _, secret := range s.texts {
		text = strings.ReplaceAll(text, secret, "…")
	}
	s.mu.Unlock()
	text = anySID.ReplaceAllString(text, "${1}…")
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, text)
}

func (s *secrets) cleanFinding(f Finding) Finding {
	f.Summary = s.clean(f.Summary)
	f.Seen = s.clean(f.Seen)
	return f
}

// excerpt is the beginning of a text, for a finding.
func excerpt(text string) string {
	const most = 80 // bytes
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
