// Package publish sends events to a Caddy that has socketio_stream with the option publish.
package publish

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// Event is what is sent, and to whom.
type Event struct {
	Event string   `json:"event"`
	Args  []any    `json:"args"`
	To    []string `json:"to,omitempty"`
}

// Publish sends an event to an endpoint such as https://example.com/publish, and returns how many
// sockets it was for.
func Publish(endpoint, key string, event Event) (receivers int, err error) {
	body, err := json.Marshal(event)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequest(http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	var got struct {
		Receivers int
		Error     string
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		return 0, fmt.Errorf("publishing: %s: %w", answer.Status, err)
	}
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("publishing: %s: %s", answer.Status, got.Error)
	}
	return got.Receivers, nil
}
