package moving

import (
	"fmt"
	"strings"
)

// parseApache reads the directives of a config of Apache.
func parseApache(file, text string) ([]*directive, error) {
	root := &directive{}
	open := []*directive{root}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		number, whole := i+1, strings.TrimSpace(lines[i])
		if strings.HasPrefix(whole, "#") {
			continue
		}
		for strings.HasSuffix(whole, `\`) && i+1 < len(lines) {
			i++
			whole = strings.TrimSuffix(whole, `\`) + " " + strings.TrimSpace(lines[i])
		}
		if whole == "" {
			continue
		}
		if number > mostDirectives {
			return nil, fmt.Errorf("%s:%d: more than %d lines", file, number, mostDirectives)
		}
		inner := open[len(open)-1]
		if name, ok := strings.CutPrefix(whole, "</"); ok {
			name = strings.TrimSpace(strings.TrimSuffix(name, ">"))
			if len(open) == 1 {
				return nil, fmt.Errorf("%s:%d: %s closes nothing", file, number, shown(whole))
			}
			if !strings.EqualFold(name, inner.name) {
				return nil, fmt.Errorf("%s:%d: %s closes <%s>, which begins in line %d", file, number, shown(whole), shown(inner.name), inner.line)
			}
			open = open[:len(open)-1]
			continue
		}
		d := &directive{place: place{file, number}, text: whole}
		section, isSection := strings.CutPrefix(whole, "<")
		words := whole
		if isSection {
			if !strings.HasSuffix(section, ">") {
				return nil, fmt.Errorf("%s:%d: %s does not end: a > is missing", file, number, shown(whole))
			}
			words = strings.TrimSuffix(section, ">")
		}
		all, ok := apacheWords(words)
		if !ok {
			return nil, fmt.Errorf("%s:%d: a quote is not closed", file, number)
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("%s:%d: a section without a name", file, number)
		}
		d.name, d.args = all[0], all[1:]
		inner.block = append(inner.block, d)
		if isSection {
			if len(open) > deepestBlocks {
				return nil, fmt.Errorf("%s:%d: more than %d sections are inside of each other", file, number, deepestBlocks)
			}
			open = append(open, d)
		}
	}
	if inner := open[len(open)-1]; inner != root {
		return nil, fmt.Errorf("%s:%d: %s is not closed: </%s> is missing", file, inner.line, shown(inner.text), shown(inner.name))
	}
	return root.block, nil
}

// apacheWords parts a line into words, and reports whether all quotes are closed.
func apacheWords(text string) (words []string, ok bool) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		if text[0] != '"' && text[0] != '\'' {
			end := strings.IndexAny(text, " \t")
			if end < 0 {
				end = len(text)
			}
			words = append(words, text[:end])
			text = text[end:]
			continue
		}
		quote := text[0]
		var word strings.Builder
		i := 1
		for ; i < len(text) && text[i] != quote; i++ {
			if text[i] == '\\' && i+1 < len(text) && (text[i+1] == quote || text[i+1] == '\\') {
				i++
			}
			word.WriteByte(text[i])
		}
		if i == len(text) {
			return words, false
		}
		words = append(words, word.String())
		text = text[i+1:]
	}
	return words, true
}

// conditional are the sections that hold what is true wherever the modules are that it takes.
var conditional = []string{"IfModule", "IfDefine", "IfVersion"}

// flatten puts what is in conditional sections in their place.
func flatten(all []*directive) (flat []*directive) {
	for _, d := range all {
		d.block = flatten(d.block)
		if len(find([]*directive{d}, conditional...)) == 0 {
			flat = append(flat, d)
			continue
		}
		d.needless("what is in it was taken as if the condition held")
		flat = append(append(flat, d), d.block...)
		d.block = nil
	}
	return flat
}
