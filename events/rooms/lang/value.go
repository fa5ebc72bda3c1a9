package lang

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Value is an argument of what is emitted: JSON, of which parts are known only when the program runs.
type Value []Piece

// Piece is a part of a value. Exactly one of its fields is set.
type Piece struct {
	// JSON is text that stands as it is.
	JSON string
	// Ref stands for a value.
	Ref *Ref
	// Text makes a JSON string.
	Text *Template
}

// value parses what is written as an argument: {name} is the value as it came; what begins with { or [
// is JSON, in which a string may be a reference or hold some; numbers, true, false and null are what
// they are in JSON; anything else is a text, in which references may stand.
func (s *scope) value(text string) (Value, error) {
	switch trimmed := strings.TrimSpace(text); {
	case strings.HasPrefix(trimmed, "["), strings.HasPrefix(trimmed, `{"`), strings.HasPrefix(trimmed, "{}"), strings.HasPrefix(trimmed, "{\n"), strings.HasPrefix(trimmed, "{ "):
		return s.json(trimmed)
	case text != "" && text == trimmed && text[0] != '"' && json.Valid([]byte(text)):
		return Value{{JSON: text}}, nil
	}
	piece, err := s.text(text)
	if err != nil {
		return nil, err
	}
	return Value{piece}, nil
}

// text parses a text, which is a piece of its own.
func (s *scope) text(text string) (Piece, error) {
	t, err := s.template(text)
	if err != nil {
		return Piece{}, err
	}
	if len(t.Parts) == 1 && t.Parts[0].Ref != nil {
		return Piece{Ref: t.Parts[0].Ref}, nil
	}
	if t.IsLiteral() {
		quoted, _ := json.Marshal(text)
		return Piece{JSON: string(quoted)}, nil
	}
	if t, err = s.textTemplate(text); err != nil {
		return Piece{}, err
	}
	return Piece{Text: t}, nil
}

// json parses JSON whose strings may hold references.
func (s *scope) json(text string) (Value, error) {
	if !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("%s is not valid JSON: write strings and names in double quotes, and all of it in backticks", text)
	}
	var v Value
	plain := 0 // where the text begins that is not in v yet
	for i := 0; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		end := i + 1
		for text[end] != '"' {
			if text[end] == '\\' {
				end++
			}
			end++
		}
		end++
		var inner string
		if err := json.Unmarshal([]byte(text[i:end]), &inner); err != nil {
			return nil, err
		}
		if strings.ContainsAny(inner, "{}") {
			if strings.HasPrefix(strings.TrimLeft(text[end:], " \t\r\n"), ":") {
				return nil, fmt.Errorf("the name %q of a field holds a reference: only values may", inner)
			}
			piece, err := s.text(inner)
			if err != nil {
				return nil, err
			}
			if piece.Ref != nil && piece.Ref.Kind == Rest {
				return nil, fmt.Errorf("{%s} stands for several arguments, and cannot be within one", piece.Ref.Name)
			}
			v = append(v, Piece{JSON: text[plain:i]}, piece)
			plain = end
		}
		i = end - 1
	}
	return append(v, Piece{JSON: text[plain:]}), nil
}
