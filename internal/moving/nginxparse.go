package moving

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

const (
	// mostDirectives is how many directives a file may have.
	mostDirectives = 50_000
	// deepestBlocks is how many blocks may be inside of each other.
	deepestBlocks = 100
)

// parseNginx reads the directives of a config of nginx.
func parseNginx(file, text string) ([]*directive, error) {
	p := &nginxParser{file: file, text: text, line: 1}
	return p.block(nil, 0)
}

type nginxParser struct {
	file, text string
	at, line   int
	count      int
}

// wrong returns an error that names the line.
func (p *nginxParser) wrong(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", p.file, line, fmt.Errorf(format, args...))
}

// block reads directives up to the brace that closes the block of the parent, or to the end.
func (p *nginxParser) block(parent *directive, depth int) ([]*directive, error) {
	if depth > deepestBlocks {
		return nil, p.wrong(parent.line, "more than %d blocks are inside of each other", deepestBlocks)
	}
	var all []*directive
	for {
		p.blank()
		switch {
		case p.at == len(p.text) && parent != nil:
			return nil, p.wrong(parent.line, "the block of %q is not closed: a } is missing", shown(parent.text))
		case p.at == len(p.text):
			return all, nil
		case p.text[p.at] == '}' && parent == nil:
			return nil, p.wrong(p.line, "this } closes nothing: a { is missing above, or it is one too many")
		case p.text[p.at] == '}':
			p.at++
			return all, nil
		case p.text[p.at] == ';':
			p.at++
			continue
		}
		if p.count++; p.count > mostDirectives {
			return nil, p.wrong(p.line, "more than %d directives", mostDirectives)
		}
		d, opens, err := p.directive()
		if err != nil {
			return nil, err
		}
		if opens && strings.HasSuffix(d.name, "_by_lua_block") {
			err = p.raw(d)
		} else if opens {
			d.block, err = p.block(d, depth+1)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
}

// blank skips blanks and comments.
func (p *nginxParser) blank() {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '\n':
			p.line++
		case c == '#':
			for p.at < len(p.text) && p.text[p.at] != '\n' {
				p.at++
			}
			continue
		case c != ' ' && c != '\t' && c != '\r':
			return
		}
		p.at++
	}
}

// directive reads the name and the arguments of a directive, and says whether a block follows.
func (p *nginxParser) directive() (d *directive, opens bool, err error) {
	begin := p.at
	d = &directive{place: place{p.file, p.line}}
	for {
		end := p.at
		p.blank()
		if p.at == len(p.text) {
			return nil, false, p.wrong(d.line, "%q does not end: a ; is missing", shown(p.text[begin:end]))
		}
		switch p.text[p.at] {
		case ';', '{':
			opens = p.text[p.at] == '{'
			d.text = p.text[begin:end]
			p.at++
			if d.name == "" {
				return nil, false, p.wrong(p.line, "a block without a name")
			}
			return d, opens, nil
		case '}':
			return nil, false, p.wrong(d.line, "%q does not end: a ; is missing", shown(p.text[begin:end]))
		}
		word, err := p.word()
		if err != nil {
			return nil, false, err
		}
		if d.name == "" && len(d.args) == 0 {
			d.name = word
		} else {
			d.args = append(d.args, word)
		}
	}
}

// escapes are what letters after a backslash mean within quotes.
var escapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r'}

// word reads one word, which may be in quotes.
func (p *nginxParser) word() (string, error) {
	var word strings.Builder
	begin := p.line
	quote := byte(0)
	if c := p.text[p.at]; c == '"' || c == '\'' {
		quote = c
		p.at++
	}
	for ; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case quote != 0 && c == quote:
			p.at++
			return word.String(), nil
		case c == '\\' && p.at+1 < len(p.text) && (p.text[p.at+1] == quote && quote != 0 || p.text[p.at+1] == '\\' && quote != 0):
			p.at++
			c = p.text[p.at]
		case c == '\\' && quote != 0 && p.at+1 < len(p.text) && escapes[p.text[p.at+1]] != 0:
			p.at++
			c = escapes[p.text[p.at]]
		case c == '$' && quote == 0 && strings.HasPrefix(p.text[p.at:], "${"):
			end := strings.IndexAny(p.text[p.at:], "}\n")
			if end < 0 || p.text[p.at+end] == '\n' {
				return "", p.wrong(p.line, "the name of a variable is not closed: a } is missing")
			}
			word.WriteString(p.text[p.at : p.at+end+1])
			p.at += end
			continue
		case quote == 0 && strings.IndexByte(" \t\r\n;{}", c) >= 0:
			return word.String(), nil
		case c == '\n':
			p.line++
		}
		word.WriteByte(c)
	}
	if quote != 0 {
		return "", p.wrong(begin, "the quote %c is not closed", quote)
	}
	return word.String(), nil
}

// raw skips a block of another language, up to the brace that closes it.
func (p *nginxParser) raw(d *directive) error {
	for depth := 1; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '\n':
			p.line++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				p.at++
				return nil
			}
		}
	}
	return p.wrong(d.line, "the block of %q is not closed: a } is missing", shown(d.text))
}

// shipped are the files that come with nginx or certbot, and hold nothing that a Caddyfile needs.
var shipped = []string{
	"mime.types", "fastcgi_params", "fastcgi.conf", "fastcgi-php.conf", "proxy_params", "scgi_params", "uwsgi_params",
	"options-ssl-nginx.conf", "options-ssl-apache.conf",
}

// A parser reads the directives of a file.
type parser func(file, text string) ([]*directive, error)

// include puts what a config includes in place of each line that does. A file that cannot be read is
// left, one that is not well-formed is an error.
func (f *files) include(from chain, all []*directive, parse parser) ([]*directive, error) {
	var whole []*directive
	for _, d := range all {
		whole = append(whole, d)
		inner, err := f.include(from, d.block, parse)
		if err != nil {
			return nil, err
		}
		d.block = inner
		if len(find([]*directive{d}, "include", "IncludeOptional")) == 0 || len(d.args) != 1 {
			continue
		}
		names, err := f.within(from, d.args[0])
		switch {
		case err == nil && len(names) == 0:
			d.needless("there is no file of that name")
			continue
		case err != nil && isShipped(d.args[0]):
			d.needless("the file comes with nginx or certbot, and Caddy needs nothing of it")
			continue
		case err != nil:
			d.leave("%v", err)
			continue
		}
		d.needless("what it includes is here")
		for _, name := range names {
			if isShipped(name) {
				continue
			}
			parts, err := f.includeOne(from, name, parse)
			var unread *unreadError
			switch {
			case errors.As(err, &unread):
				d.leave("%v", err)
			case err != nil:
				return nil, err
			}
			whole = append(whole, parts...)
		}
	}
	return whole, nil
}

// isShipped reports whether a file is known to come with nginx or certbot.
func isShipped(name string) bool {
	for _, each := range shipped {
		if filepath.Base(name) == each {
			return true
		}
	}
	return strings.Contains(name, "modules-enabled/")
}

// unreadError is why a file that another one includes was not read.
type unreadError struct{ error }

// includeOne reads one file that another one includes.
func (f *files) includeOne(from chain, name string, parse parser) ([]*directive, error) {
	text, err := f.read(from, name)
	if err != nil {
		return nil, &unreadError{err}
	}
	all, err := parse(f.short(name), text)
	if err != nil {
		return nil, err
	}
	return f.include(append(from[:len(from):len(from)], name), all, parse)
}
