package sessions

import "testing"

func TestFiguresAreKnown(t *testing.T) { newServer(t, new(Set)).ExpectKnownFigures() }
