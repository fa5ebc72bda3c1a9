package lang

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Part is a piece of a template: text as it is, or what a reference stands for.
type Part struct {
	Literal string
	// Ref is nil for a literal.
	Ref *Ref
}

// Template makes a text of what is known when the program runs.
type Template struct {
	// Text is how it is written.
	Text  string
	Parts []Part
}

// Beginning is the text with which all that the template makes begins.
func (t *Template) Beginning() string {
	if len(t.Parts) == 0 || t.Parts[0].Ref != nil {
		return ""
	}
	return t.Parts[0].Literal
}

// IsLiteral reports whether the template always makes the same.
func (t *Template) IsLiteral() bool {
	return !slices.ContainsFunc(t.Parts, func(p Part) bool { return p.Ref != nil })
}

// template parses a template.
func (s *scope) template(text string) (*Template, error) {
	t := &Template{Text: text}
	for rest := text; rest != ""; {
		literal, after, found := strings.Cut(rest, "{")
		if strings.Contains(literal, "}") {
			return nil, fmt.Errorf("%q has a } without a {", text)
		}
		if literal != "" {
			t.Parts = append(t.Parts, Part{Literal: literal})
		}
		if !found {
			break
		}
		name, next, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("%q has a { without a }", text)
		}
		ref, err := s.ref(name)
		if err != nil {
			return nil, err
		}
		t.Parts = append(t.Parts, Part{Ref: &ref})
		rest = next
	}
	return t, nil
}

// textTemplate parses a template that makes a text, for which what is referred to must be a text itself.
func (s *scope) textTemplate(text string) (*Template, error) {
	t, err := s.template(text)
	if err != nil {
		return nil, err
	}
	for _, part := range t.Parts {
		if part.Ref == nil {
			continue
		}
		if kind := part.Ref.Kind; kind == Rest || kind.listsMembers() {
			return nil, fmt.Errorf("{%s} is no text, so that it cannot be part of one", part.Ref.Name)
		}
	}
	return t, nil
}

// MaxName is how many bytes the name of a room may have.
const MaxName = 256

// room parses the template of a room's name.
func (s *scope) room(text string) (*Template, error) {
	if text == "" {
		return nil, errors.New("a room has no name")
	}
	t, err := s.textTemplate(text)
	if err != nil {
		return nil, err
	}
	length := 0
	for i, part := range t.Parts {
		length += len(part.Literal)
		if part.Ref == nil {
			continue
		}
		if part.Ref.Kind.isOfRoom() {
			return nil, fmt.Errorf("the room %s is named by {%s}, which is up to who is in it", text, part.Ref.Name)
		}
		if i > 0 && t.Parts[i-1].Ref != nil {
			return nil, fmt.Errorf("the room %s has {%s} and {%s} side by side, so that two rooms may have one name: write something between them",
				text, t.Parts[i-1].Ref.Name, part.Ref.Name)
		}
	}
	if length > MaxName {
		return nil, fmt.Errorf("the name of a room may have %d bytes, and that of %.20s… has more", MaxName, text)
	}
	return t, nil
}

// guards returns the beginnings of names that a template must not make, since other templates of the
// program begin so: what they name is for them alone. literal are whole names.
func (t *Template) guards(others []*Template) (beginnings, literals []string) {
	own := t.Beginning()
	if !slices.ContainsFunc(t.Parts, func(p Part) bool { return p.Ref != nil && p.Ref.Kind == Argument }) {
		return nil, nil // No client has chosen anything of it.
	}
	for _, other := range others {
		theirs := other.Beginning()
		if len(theirs) <= len(own) || !strings.HasPrefix(theirs, own) {
			continue
		}
		if other.IsLiteral() {
			literals = append(literals, theirs)
		} else {
			beginnings = append(beginnings, theirs)
		}
	}
	slices.Sort(beginnings)
	slices.Sort(literals)
	return slices.Compact(beginnings), slices.Compact(literals)
}
