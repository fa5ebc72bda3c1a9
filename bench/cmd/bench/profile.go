package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddy-socketio/socketio-stream/bench/stack"
)

const (
	// profileAfter leaves connecting and warming up out of a profile.
	profileAfter = 2 * time.Second
	// profileSeconds is how long a profile is taken; it must end before the load does.
	profileSeconds = 3
)

// profile takes a CPU profile while a stack is under load. Being profiled costs some per cent:
// figures of such a run are not for the table.
func (b *bench) profile(ctx context.Context, base string, s scenario, st stack.Stack) <-chan error {
	done := make(chan error, 1)
	go func() { done <- b.writeProfile(ctx, base, s, st) }()
	return done
}

func (b *bench) writeProfile(ctx context.Context, base string, s scenario, st stack.Stack) error {
	timer := time.NewTimer(profileAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%sprofile?seconds=%d", base, profileSeconds), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s", response.Status)
	}
	profile, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	name := strings.NewReplacer(" ", "-", ",", "").Replace(s.name+" "+st.Name) + ".pprof"
	return os.WriteFile(filepath.Join(b.profiles, name), profile, 0o644)
}
