package moving

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// A token is a word of JavaScript.
type token struct {
	kind       tokenKind
	text       string
	line       int
	start, end int
}

type tokenKind int

const (
	tokenWord tokenKind = iota
	tokenText
	tokenNumber
	tokenMark
	// tokenOther is what has no value of its own: a regular expression, a template with expressions.
	tokenOther
)

// marks are the marks of more than one character that matter here.
var marks = []string{"=>", "||", "??", "...", "===", "!==", "&&", "**", "?."}

// tokenize takes a program apart. What is no JavaScript becomes marks.
func tokenize(text string) (all []token) {
	line := 1
	for at := 0; at < len(text); {
		c := text[at]
		start, begin := at, line
		kind := tokenMark
		var value string
		switch {
		case c == '\n':
			line++
			at++
			continue
		case c == ' ' || c == '\t' || c == '\r':
			at++
			continue
		case strings.HasPrefix(text[at:], "//") || c == '#' && at == 0:
			for at < len(text) && text[at] != '\n' {
				at++
			}
			continue
		case strings.HasPrefix(text[at:], "/*"):
			end := strings.Index(text[at+2:], "*/")
			if end < 0 {
				return all
			}
			line += strings.Count(text[at:at+2+end], "\n")
			at += end + 4
			continue
		case c == '"' || c == '\'' || c == '`':
			var ok bool
			value, at, ok = quotedText(text, at)
			kind = tokenText
			if !ok {
				kind = tokenOther
			}
			line += strings.Count(text[start:at], "\n")
		case c == '/' && regexpMayBegin(all):
			at = regexpEnd(text, at)
			kind, value = tokenOther, text[start:at]
		case c >= '0' && c <= '9':
			for at < len(text) && (isWord(text[at]) || text[at] == '.' || (text[at] == '+' || text[at] == '-') && (text[at-1] == 'e' || text[at-1] == 'E')) {
				at++
			}
			kind, value = tokenNumber, text[start:at]
		case isWord(c) || c >= utf8.RuneSelf:
			for at < len(text) && (isWord(text[at]) || text[at] >= utf8.RuneSelf) {
				at++
			}
			kind, value = tokenWord, text[start:at]
		default:
			at++
			for _, mark := range marks {
				if strings.HasPrefix(text[start:], mark) {
					at = start + len(mark)
					break
				}
			}
			value = text[start:at]
		}
		all = append(all, token{kind, value, begin, start, at})
		if len(all) > mostDirectives {
			return all
		}
	}
	return all
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// quotedText returns the value of a string, where it ends, and whether it has one.
func quotedText(text string, at int) (value string, end int, ok bool) {
	quote := text[at]
	var out strings.Builder
	ok = true
	for at++; at < len(text); at++ {
		switch c := text[at]; {
		case c == quote:
			return out.String(), at + 1, ok
		case c == '\\' && at+1 < len(text):
			at++
			if escaped := escapes[text[at]]; escaped != 0 {
				out.WriteByte(escaped)
			} else if text[at] == 'x' || text[at] == 'u' {
				ok = false
			} else {
				out.WriteByte(text[at])
			}
		case c == '$' && quote == '`' && strings.HasPrefix(text[at:], "${"):
			ok = false
		case c == '\n' && quote != '`':
			return "", at, false
		default:
			out.WriteByte(c)
		}
	}
	return "", len(text), false
}

// regexpMayBegin reports whether a slash begins a regular expression and does not divide.
func regexpMayBegin(before []token) bool {
	if len(before) == 0 {
		return true
	}
	last := before[len(before)-1]
	return last.kind == tokenMark && last.text != ")" && last.text != "]" && last.text != "}" || last.text == "return"
}

func regexpEnd(text string, at int) int {
	class := false
	for at++; at < len(text) && text[at] != '\n'; at++ {
		switch c := text[at]; {
		case c == '\\' && at+1 < len(text) && text[at+1] != '\n':
			at++
		case c == '[':
			class = true
		case c == ']':
			class = false
		case c == '/' && !class:
			at++
			for at < len(text) && isWord(text[at]) {
				at++
			}
			return at
		}
	}
	return at
}

// A value is an expression of JavaScript, as far as it is a literal.
type value struct {
	kind valueKind
	text string
	// number is exact for whole numbers of up to 2^53.
	number float64
	fields []field
	items  []*value
	// env is the name of the variable of the environment that it is taken from, and otherwise what it
	// is where there is none.
	env       string
	otherwise *value
	line      int
	source    string
}

type field struct {
	name   string
	value  *value
	line   int
	source string
}

type valueKind int

const (
	isOpaque valueKind = iota
	isText
	isNumber
	isTrue
	isFalse
	isNothing
	isObject
	isList
	isEnv
)

// get returns a field of an object, or nil.
func (v *value) get(name string) *value {
	if v == nil {
		return nil
	}
	for _, f := range v.fields {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// A script is a program that is looked through for literals.
type script struct {
	text      string
	tokens    []token
	constants map[string]*value
	env       map[string]string
	depth     int
	// used are the variables of the environment that something goes by.
	used map[string]bool
}

// mostConstants is how many names of a program are looked up.
const mostConstants = 1000

// parseScript takes a program apart.
func parseScript(text string, env map[string]string) *script {
	s := &script{text: text, tokens: tokenize(text), constants: map[string]*value{}, env: env, used: map[string]bool{}}
	for i := 0; i+3 < len(s.tokens) && len(s.constants) < mostConstants; i++ {
		t := s.tokens[i]
		if t.kind == tokenWord && (t.text == "const" || t.text == "let" || t.text == "var") && s.is(i+2, "=") && s.tokens[i+1].kind == tokenWord {
			if s.constants[s.tokens[i+1].text] == nil {
				s.constants[s.tokens[i+1].text], _ = s.value(i + 3)
			} else {
				s.constants[s.tokens[i+1].text] = &value{}
			}
		}
	}
	return s
}

// is reports whether a token is a mark or a word.
func (s *script) is(i int, texts ...string) bool {
	if i < 0 || i >= len(s.tokens) || s.tokens[i].kind != tokenMark && s.tokens[i].kind != tokenWord {
		return false
	}
	for _, text := range texts {
		if s.tokens[i].text == text {
			return true
		}
	}
	return false
}

// sequence reports whether tokens are marks and words in an order.
func (s *script) sequence(i int, texts ...string) bool {
	for j, text := range texts {
		if !s.is(i+j, text) {
			return false
		}
	}
	return true
}

// value reads an expression, up to what ends it. One that is no literal is opaque.
func (s *script) value(i int) (*value, int) {
	if i >= len(s.tokens) {
		return &value{}, i
	}
	if s.depth++; s.depth > deepestBlocks {
		s.depth--
		return &value{line: s.tokens[i].line}, s.skip(i)
	}
	v, next := s.primary(i)
	for v.kind != isOpaque && !s.ends(next) {
		switch {
		case s.is(next, "*") && v.kind == isNumber:
			var by *value
			if by, next = s.primary(next + 1); by.kind != isNumber {
				v = &value{}
				break
			}
			v = &value{kind: isNumber, number: v.number * by.number}
		case s.is(next, "||", "??"):
			var otherwise *value
			otherwise, next = s.value(next + 1)
			switch v.kind {
			case isEnv:
				v.otherwise = otherwise
			case isNothing:
				v = otherwise
			}
		case s.sequence(next, ".", "split", "(") && v.kind == isEnv, s.sequence(next, "as"):
			next = s.skip(next + 2)
		case s.sequence(next, "?.", "split", "(") && v.kind == isEnv:
			next = s.skip(next + 2)
		default:
			v = &value{}
		}
	}
	if v.kind == isOpaque {
		next = s.skip(i)
	}
	s.depth--
	v.line = s.tokens[i].line
	v.source = s.source(i, next)
	return s.resolve(v), next
}

// source returns the text of tokens.
func (s *script) source(from, to int) string {
	if from >= to || to > len(s.tokens) {
		return ""
	}
	return s.text[s.tokens[from].start:s.tokens[to-1].end]
}

// resolve puts what is known of the environment in place of a variable.
func (s *script) resolve(v *value) *value {
	if v.kind != isEnv {
		return v
	}
	text, ok := s.env[v.env]
	if !ok {
		return v
	}
	s.used[v.env] = true
	known := &value{kind: isText, text: text, line: v.line, source: v.source}
	if number, err := strconv.ParseFloat(text, 64); err == nil {
		known.kind, known.number = isNumber, number
	}
	return known
}

// ends reports whether an expression ends before a token.
func (s *script) ends(i int) bool {
	if i >= len(s.tokens) {
		return true
	}
	if s.is(i, ",", ")", "]", "}", ";") {
		return true
	}
	return i > 0 && s.tokens[i].line > s.tokens[i-1].line && s.tokens[i].kind == tokenWord
}

// skip returns the token that ends an expression.
func (s *script) skip(i int) int {
	depth := 0
	for ; i < len(s.tokens); i++ {
		switch {
		case s.is(i, "(", "[", "{"):
			depth++
		case s.is(i, ")", "]", "}"):
			if depth == 0 {
				return i
			}
			depth--
		case depth == 0 && s.is(i, ",", ";"):
			return i
		}
	}
	return i
}

// primary reads the first part of an expression.
func (s *script) primary(i int) (*value, int) {
	if i >= len(s.tokens) {
		return &value{}, i
	}
	t := s.tokens[i]
	switch {
	case t.kind == tokenText:
		return &value{kind: isText, text: t.text}, i + 1
	case t.kind == tokenNumber:
		number, err := strconv.ParseFloat(strings.ReplaceAll(t.text, "_", ""), 64)
		if whole, wrong := strconv.ParseInt(strings.ReplaceAll(t.text, "_", ""), 0, 64); wrong == nil {
			number, err = float64(whole), nil
		}
		if err != nil {
			return &value{}, i + 1
		}
		return &value{kind: isNumber, number: number}, i + 1
	case s.is(i, "true"):
		return &value{kind: isTrue}, i + 1
	case s.is(i, "false"):
		return &value{kind: isFalse}, i + 1
	case s.is(i, "null", "undefined"):
		return &value{kind: isNothing}, i + 1
	case s.is(i, "{"):
		return s.object(i)
	case s.is(i, "["):
		return s.list(i)
	case s.sequence(i, "process", ".", "env", ".") && i+4 < len(s.tokens) && s.tokens[i+4].kind == tokenWord:
		return &value{kind: isEnv, env: s.tokens[i+4].text}, i + 5
	case s.sequence(i, "process", ".", "env", "[") && i+5 < len(s.tokens) && s.tokens[i+4].kind == tokenText && s.is(i+5, "]"):
		return &value{kind: isEnv, env: s.tokens[i+4].text}, i + 6
	case s.is(i, "Number", "parseInt", "parseFloat", "String") && s.is(i+1, "("):
		v, next := s.value(i + 2)
		for s.is(next, ",") {
			next = s.skip(next + 1)
		}
		if !s.is(next, ")") {
			return &value{}, next
		}
		return v, next + 1
	case s.is(i, "("):
		v, next := s.value(i + 1)
		if !s.is(next, ")") {
			return &value{}, next
		}
		return v, next + 1
	case t.kind == tokenWord && s.constants[t.text] != nil:
		copied := *s.constants[t.text]
		return &copied, i + 1
	}
	return &value{}, i + 1
}

// object reads an object.
func (s *script) object(i int) (*value, int) {
	v := &value{kind: isObject}
	for i++; i < len(s.tokens) && !s.is(i, "}"); {
		if s.is(i, ",") {
			i++
			continue
		}
		if s.is(i, "...") && s.is(i+2, ",", "}") && s.tokens[i+1].kind == tokenWord && s.constants[s.tokens[i+1].text] != nil &&
			s.constants[s.tokens[i+1].text].kind == isObject && len(v.fields) < mostConstants {
			v.fields = append(v.fields, s.constants[s.tokens[i+1].text].fields...)
			i += 2
			continue
		}
		begin := i
		name := s.tokens[i].text
		f := field{name: name, line: s.tokens[i].line}
		if s.is(i+1, ":") && (s.tokens[i].kind == tokenWord || s.tokens[i].kind == tokenText) {
			f.value, i = s.value(i + 2)
		} else {
			// A method, a spread, or the name of a variable.
			short := s.tokens[i].kind == tokenWord && s.is(i+1, ",", "}")
			f.value = &value{line: f.line}
			if known := s.constants[name]; short && known != nil {
				copied := *known
				f.value = &copied
			}
			i = s.skip(i)
		}
		f.source = s.source(begin, i)
		v.fields = append(v.fields, f)
		if i == begin || s.is(i, ")", "]", ";") {
			i++
		}
	}
	return v, i + 1
}

// list reads a list.
func (s *script) list(i int) (*value, int) {
	v := &value{kind: isList}
	for i++; i < len(s.tokens) && !s.is(i, "]"); {
		if s.is(i, ",") {
			i++
			continue
		}
		begin := i
		var item *value
		item, i = s.value(i)
		v.items = append(v.items, item)
		if i == begin || s.is(i, ")", "}", ";") {
			i++
		}
	}
	return v, i + 1
}

// directiveOf returns a field as a line of an old config.
func directiveOf(file string, f field) *directive {
	return &directive{place: place{file, f.line}, name: f.name, text: f.source}
}
