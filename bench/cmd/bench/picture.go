package main

import (
	"fmt"
	"io"
	"strings"
)

// drawn are the stacks in the picture, in order, each with the class its bars have. All of them are
// encrypted, and nginx in front of Node is the measure.
var drawn = []struct{ stack, title, class string }{
	{"this module, TLS", "this module", "module"},
	{"nginx + Node, TLS", "nginx + Node", "nginx"},
	{"Caddy + Node, TLS", "Caddy + Node", "caddy"},
	{"floor joined, TLS", "a Go server that only writes frames", "floor"},
}

// pictureStyle reads well on light and on dark: the background is the page's, and the words follow
// it where the viewer tells which it is. Grey is legible on either where it does not.
const pictureStyle = `
	text { font: 14px system-ui, sans-serif; fill: #6e7781 }
	.title { font-weight: 600; font-size: 17px }
	.module { fill: #2f9e6e } .nginx { fill: #8b949e } .caddy { fill: #b7791f } .floor { fill: #5b8def }
	.line { stroke: #8b949e; stroke-dasharray: 3 4 }
	@media (prefers-color-scheme: light) { text { fill: #24292f } }
	@media (prefers-color-scheme: dark) { text { fill: #d0d7de } }
`

// Measures of the picture, in pixels.
const (
	pictureWidth = 880
	barsFrom     = 260  // where bars begin
	barsWidth    = 500. // of the longest
	barHeight    = 13
	barStep      = 16
	groupGap     = 16
	headHeight   = 76
)

// bar is one stack's cost over the peer's.
type bar struct {
	class string
	ratio float64
}

// drawRatios writes a picture of what each stack costs beside nginx and Node: the median of the
// ratios of all rounds.
func drawRatios(w io.Writer, all []scenario, measured results) {
	type group struct {
		title string
		bars  []bar
	}
	var groups []group
	longest, height := 1., headHeight
	for _, s := range all {
		if s.short == "" || measured[s.name] == nil {
			continue
		}
		peer := values(measured[s.name][references[true].peer], s.main.key)
		g := group{title: s.short}
		for _, d := range drawn {
			if all := sorted(ratio(values(measured[s.name][d.stack], s.main.key), peer)); len(all) > 0 {
				g.bars = append(g.bars, bar{d.class, median(all)})
				longest = max(longest, median(all))
			}
		}
		if len(g.bars) > 1 {
			groups = append(groups, g)
			height += len(g.bars)*barStep + groupGap
		}
	}
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title">`+"\n", pictureWidth, height)
	fmt.Fprintln(w, `<title id="title">What a server costs beside nginx in front of Node, over TLS</title>`)
	fmt.Fprintf(w, "<style>%s</style>\n", pictureStyle)
	fmt.Fprintln(w, `<text class="title" x="16" y="28">Server CPU for the same work, beside nginx + Node = 1 (TLS; less is better)</text>`)
	drawLegend(w)
	scale := barsWidth / longest
	one := barsFrom + scale
	fmt.Fprintf(w, `<line class="line" x1="%.0f" x2="%.0f" y1="%d" y2="%d"/>`+"\n", one, one, headHeight-8, height-groupGap)
	y := headHeight
	for _, g := range groups {
		fmt.Fprintf(w, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", barsFrom-12, y+len(g.bars)*barStep/2+4, escape(g.title))
		for _, b := range g.bars {
			width := max(1, b.ratio*scale)
			fmt.Fprintf(w, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n", b.class, barsFrom, y, width, barHeight)
			fmt.Fprintf(w, `<text x="%.1f" y="%d" font-size="12">%.2f</text>`+"\n", barsFrom+width+6, y+barHeight-1, b.ratio)
			y += barStep
		}
		y += groupGap
	}
	fmt.Fprintln(w, "</svg>")
}

func drawLegend(w io.Writer) {
	x := 16
	for _, d := range drawn {
		fmt.Fprintf(w, `<rect class="%s" x="%d" y="42" width="14" height="14" rx="2"/><text x="%d" y="54">%s</text>`+"\n",
			d.class, x, x+20, escape(d.title))
		x += 44 + len(d.title)*8
	}
}

func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(text)
}
