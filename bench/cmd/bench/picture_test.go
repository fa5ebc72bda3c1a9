package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/bench/load"
)

func TestPictureShowsRatiosToThePeer(t *testing.T) {
	result := func(cost float64) *load.Result {
		return &load.Result{Values: map[string]float64{"cost": cost}}
	}
	s := scenario{name: "s", short: "less & less", main: column{key: "cost"}}
	undrawn := scenario{name: "u", main: column{key: "cost"}}
	one := map[string]rounds{
		"this module, TLS":  {result(1), nil, result(2)},
		"nginx + Node, TLS": {result(10), result(10), result(10)},
		"Node":              {result(1)},
	}
	var picture strings.Builder
	drawRatios(&picture, []scenario{s, undrawn}, results{"s": one, "u": one})
	for _, want := range []string{">0.15<", ">1.00<", "less &amp; less"} {
		if strings.Count(picture.String(), want) != 1 {
			t.Errorf("%q is not there once in\n%s", want, picture.String())
		}
	}
	for decoder := xml.NewDecoder(strings.NewReader(picture.String())); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
