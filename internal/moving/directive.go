package moving

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A place is where something was read.
type place struct {
	file string
	line int
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// A fate is what becomes of a line of an old config.
type fate int

const (
	unseen fate = iota
	taken
	needless
	left
)

// A directive is one line of an old config, with the lines that are inside of it.
type directive struct {
	place
	name  string
	args  []string
	block []*directive
	// text is the line as it was written, without what is inside of it.
	text string
	fate fate
	// program is set for what is of the service, and not of the server in front.
	program bool
	// why says why the line is needless, or what to do where it is left.
	why string
}

// arg returns an argument, or nothing where there is none.
func (d *directive) arg(i int) string {
	if d == nil || i < 0 || i >= len(d.args) {
		return ""
	}
	return d.args[i]
}

// take marks the directive as one that is in the Caddyfile. What was said of it before holds.
func (d *directive) take() *directive {
	if d.fate == unseen || d.fate == needless {
		d.fate = taken
	}
	return d
}

// needless marks the directive as one that nothing has to take the place of.
func (d *directive) needless(why string) {
	if d.fate == unseen {
		d.fate, d.why = needless, why
	}
}

// leave marks the directive as one that is not in the Caddyfile, and says what to do.
func (d *directive) leave(format string, args ...any) {
	d.fate, d.why = left, fmt.Sprintf(format, args...)
}

// leaveAll leaves the directive, and all that is inside of it goes with it.
func (d *directive) leaveAll(format string, args ...any) {
	d.leave(format, args...)
	d.cover(taken, "")
}

// cover gives all that is inside of the directive a fate, where it has none.
func (d *directive) cover(f fate, why string) {
	for _, inner := range d.block {
		if inner.fate == unseen {
			inner.fate, inner.why = f, why
		}
		inner.cover(f, why)
	}
}

// walk calls a function for each directive, in the order in which they were written.
func walk(all []*directive, visit func(*directive)) {
	for _, d := range all {
		visit(d)
		walk(d.block, visit)
	}
}

// find returns the directives of a block that have one of the names.
func find(block []*directive, names ...string) (found []*directive) {
	for _, d := range block {
		for _, name := range names {
			if strings.EqualFold(d.name, name) {
				found = append(found, d)
			}
		}
	}
	return found
}

// last returns the last directive of a block that has the name, or nil.
func last(block []*directive, name string) *directive {
	if found := find(block, name); len(found) > 0 {
		return found[len(found)-1]
	}
	return nil
}

// secret matches the names of what is not to be shown, up to the value.
var secret = regexp.MustCompile(`(?i)[\w.-]*(secret|passw|passphrase|token|authorization|api[_-]?key|private[_-]?key|access[_-]?key|cookie_?key|_dsn|stats auth)[\w.-]*["']?[\s:=,]+`)

// userinfo matches the name and the password in a URL.
var userinfo = regexp.MustCompile(`(://)[^/\s@"']+@`)

// mostShown is how many characters of a line of an old config a comment repeats.
const mostShown = 120

// shown returns a line of an old config as a comment may repeat it: on one line, not too long, and
// without what is secret.
func shown(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	text = userinfo.ReplaceAllString(text, "${1}...@")
	if at := secret.FindStringIndex(text); at != nil && at[1] < len(text) && !isKeyFile(text) {
		text = text[:at[1]] + "..."
	}
	if utf8.RuneCountInString(text) > mostShown {
		text = string([]rune(text)[:mostShown-3]) + "..."
	}
	return text
}

// isKeyFile reports whether a line names the file of a secret, or a limit of one, and not the secret.
func isKeyFile(text string) bool {
	first, _, _ := strings.Cut(strings.ToLower(text), " ")
	return first == "ssl_certificate_key" || first == "sslcertificatekeyfile" || first == "server_tokens" || first == "servertokens" ||
		strings.HasSuffix(first, "_file") || first == "ssl_session_tickets"
}
