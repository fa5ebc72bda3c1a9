package auth

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// claims are the claims of a token, as they stand in it. A claim of a wrong
// type makes the token invalid, and is not taken for one that is absent.
type claims struct {
	values map[string]json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *claims) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &c.values) }

func (c *claims) wrong(name, why string) error {
	return fmt.Errorf("%w: the claim %s %s", jwt.ErrInvalidType, name, why)
}

// maxDate is the end of the year 9999, in seconds since 1970.
const maxDate = 253402300799

func (c *claims) date(name string) (*jwt.NumericDate, error) {
	raw, ok := c.values[name]
	if !ok {
		return nil, nil
	}
	var seconds *float64
	if err := json.Unmarshal(raw, &seconds); err != nil || seconds == nil {
		return nil, c.wrong(name, "is no number")
	}
	if *seconds < 0 || *seconds > maxDate {
		return nil, c.wrong(name, "is no date")
	}
	whole, part := math.Modf(*seconds)
	return &jwt.NumericDate{Time: time.Unix(int64(whole), int64(part*1e9))}, nil
}

func (c *claims) text(name string) (string, error) {
	raw, ok := c.values[name]
	if !ok {
		return "", nil
	}
	text, err := decodeText(raw)
	if err != nil {
		return "", c.wrong(name, err.Error())
	}
	return text, nil
}

// GetExpirationTime implements jwt.Claims.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.date("exp") }

// GetIssuedAt implements jwt.Claims.
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) { return c.date("iat") }

// GetNotBefore implements jwt.Claims.
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return c.date("nbf") }

// GetIssuer implements jwt.Claims.
func (c *claims) GetIssuer() (string, error) { return c.text("iss") }

// GetSubject implements jwt.Claims.
func (c *claims) GetSubject() (string, error) { return c.text("sub") }

// GetAudience implements jwt.Claims: one text, or a list of them.
func (c *claims) GetAudience() (jwt.ClaimStrings, error) {
	raw, ok := c.values["aud"]
	if !ok {
		return nil, nil
	}
	if len(raw) > 0 && raw[0] == '"' {
		text, err := c.text("aud")
		return jwt.ClaimStrings{text}, err
	}
	list, err := decodeTexts(raw)
	if err != nil {
		return nil, c.wrong("aud", err.Error())
	}
	return list, nil
}

// describe tells what a token says of itself, for a log.
func (c *claims) describe() string {
	var b strings.Builder
	for _, name := range []string{"iss", "aud", "sub", "exp", "nbf", "iat"} {
		if value, ok := c.values[name]; ok {
			const most = 48
			fmt.Fprintf(&b, " %s=%.*s", name, most, value)
		}
	}
	return b.String()
}
