package documents

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLinksLeadSomewhere holds that every link of a page to another one leads to a file that there
// is, and every anchor to a heading that there is.
func TestLinksLeadSomewhere(t *testing.T) {
	pages := make(map[string]*Page)
	for _, page := range All(t) {
		pages[page.Path] = page
	}
	for _, page := range pages {
		for _, link := range page.Links {
			target, err := url.Parse(link.Target)
			if err != nil {
				t.Errorf("%s: %v", link.Place, err)
				continue
			}
			if target.Scheme != "" {
				continue
			}
			file := page.Path
			if target.Path != "" {
				file = path.Join(path.Dir(page.Path), target.Path)
			}
			if _, err := os.Stat(filepath.Join(Root(t), filepath.FromSlash(file))); err != nil || strings.HasPrefix(file, "..") {
				t.Errorf("%s: there is no %s", link.Place, file)
				continue
			}
			if target.Fragment != "" && !hasAnchor(pages[file], target.Fragment) {
				t.Errorf("%s: %s has no heading #%s", link.Place, file, target.Fragment)
			}
		}
	}
}

func hasAnchor(page *Page, anchor string) bool {
	return page != nil && slices.ContainsFunc(page.Headings, func(h Heading) bool { return h.Anchor == anchor })
}

// TestPageIsRead holds what the tests of the pages build on.
func TestPageIsRead(t *testing.T) {
	page := parse("docs/page.md", []byte("# One `two`\n\nA [link](a.md#b), `[none](c.md)`.\n\n"+
		"```sh\nls\n```\n\n## Who's in?\n\n![p](p.png) <img src=\"q.png\">\n\n    indented\n\n## Who's in?\n\nlast\n"))
	var links, anchors, blocks []string
	for _, link := range page.Links {
		links = append(links, link.Place+" "+link.Target)
	}
	for _, heading := range page.Headings {
		anchors = append(anchors, heading.Anchor)
	}
	for _, block := range page.Blocks {
		blocks = append(blocks, block.Place+" "+block.Language+" "+block.Text)
	}
	for _, test := range []struct {
		what      string
		got, want []string
	}{
		{"links", links, []string{"docs/page.md:3 a.md#b", "docs/page.md:11 p.png", "docs/page.md:11 q.png"}},
		{"anchors", anchors, []string{"one-two", "whos-in", "whos-in-1"}},
		{"blocks", blocks, []string{"docs/page.md:6 sh ls\n", "docs/page.md:13  indented\n"}},
		{"sections", []string{page.section(2)}, []string{"\n\nlast\n"}},
	} {
		if !slices.Equal(test.got, test.want) {
			t.Errorf("%s: got %q, want %q", test.what, test.got, test.want)
		}
	}
}
