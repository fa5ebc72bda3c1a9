package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth bounds how deep the JSON of tokens, key sets and answers may nest.
const maxDepth = 32

// checkObject refuses JSON that two readers may read in two ways: what is no
// single object, has a name twice, is no UTF-8, or nests deeper than anybody
// needs.
func checkObject(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("it is no UTF-8")
	}
	if i := bytes.IndexFunc(data, func(r rune) bool { return !unicode.IsSpace(r) }); i < 0 || data[i] != '{' {
		return errors.New("it is no JSON object")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := checkValue(decoder, 0); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

func checkValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	delimiter, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth++; depth > maxDepth {
		return errors.New("it nests too deep")
	}
	var seen map[string]bool
	if delimiter == '{' {
		seen = make(map[string]bool)
	}
	for decoder.More() {
		if seen != nil {
			name, err := decoder.Token()
			if err != nil {
				return fmt.Errorf("it is no JSON: %w", err)
			}
			text, _ := name.(string)
			if seen[text] {
				return fmt.Errorf("it has the name %.40q twice", text)
			}
			seen[text] = true
		}
		if err := checkValue(decoder, depth); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	return nil
}

// decodeText decodes a JSON string that names something.
func decodeText(data json.RawMessage) (string, error) {
	var text *string
	if err := json.Unmarshal(data, &text); err != nil || text == nil {
		return "", errors.New("is no text")
	}
	return *text, checkText(*text)
}

// checkText refuses text that is not what it seems: control characters, and
// what stands for bytes that were no text.
func checkText(text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return r == unicode.ReplacementChar || unicode.IsControl(r) }) {
		return errors.New("has characters that do not belong into text")
	}
	return nil
}

// maxID bounds the ID of an identity, in bytes.
const maxID = 256

func checkID(id string) error {
	if id == "" || len(id) > maxID {
		return fmt.Errorf("must have 1 to %d bytes", maxID)
	}
	return checkText(id)
}

// decodeTexts decodes a list of texts. One text with spaces is a list too, as
// in OAuth's "scope".
func decodeTexts(data json.RawMessage) ([]string, error) {
	if len(data) > 0 && data[0] == '"' {
		text, err := decodeText(data)
		return strings.Fields(text), err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil || raw == nil {
		return nil, errors.New("is no list of texts")
	}
	list := make([]string, 0, len(raw))
	for _, element := range raw {
		text, err := decodeText(element)
		if err != nil {
			return nil, fmt.Errorf("has an element that %w", err)
		}
		list = append(list, text)
	}
	return list, nil
}
