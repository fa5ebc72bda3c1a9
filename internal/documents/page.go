package documents

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// Page is one file in Markdown.
type Page struct {
	Path     string // from the root of the repository, with slashes
	Text     string
	Headings []Heading
	Blocks   []Block
	Spans    []Block // code within a line
	Links    []Link
}

// Heading begins a section of a page.
type Heading struct {
	Level  int
	Text   string // as it is written
	Anchor string // what a link to it has behind the #
	Line   int

	start, end int // of its line, in the text
}

// Block is a block of code, or a span of it within a line.
type Block struct {
	Place    string // file and line
	Language string // empty for one that is not marked with a language
	Text     string
}

// Link leads from a page to a file or an address, or shows a picture.
type Link struct {
	Place  string // file and line
	Target string
}

var markdown = goldmark.New(goldmark.WithExtensions(extension.Table))

// source matches what a picture in HTML shows, or a link in HTML leads to.
var source = regexp.MustCompile(`\b(?:src|href)="([^"]*)"`)

func parse(path string, content []byte) *Page {
	p := &Page{Path: path, Text: string(content)}
	line := 1
	anchors := make(map[string]int)
	_ = ast.Walk(markdown.Parser().Parse(text.NewReader(content)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		if n.Type() == ast.TypeBlock && n.Lines().Len() > 0 {
			line = 1 + bytes.Count(content[:n.Lines().At(0).Start], []byte("\n"))
		}
		place := fmt.Sprintf("%s:%d", path, line)
		switch n := n.(type) {
		case *ast.Heading:
			p.addHeading(n, content, line, anchors)
		case *ast.FencedCodeBlock:
			p.Blocks = append(p.Blocks, Block{place, string(n.Language(content)), string(n.Lines().Value(content))})
		case *ast.CodeBlock:
			p.Blocks = append(p.Blocks, Block{place, "", string(n.Lines().Value(content))})
		case *ast.CodeSpan:
			p.Spans = append(p.Spans, Block{place, "", spanText(n, content)})
		case *ast.Link:
			p.Links = append(p.Links, Link{place, string(n.Destination)})
		case *ast.Image:
			p.Links = append(p.Links, Link{place, string(n.Destination)})
		case *ast.AutoLink:
			p.Links = append(p.Links, Link{place, string(n.URL(content))})
		case *ast.RawHTML:
			p.addHTML(place, n.Segments.Value(content))
		case *ast.HTMLBlock:
			p.addHTML(place, n.Lines().Value(content))
		}
		return ast.WalkContinue, nil
	})
	return p
}

func (p *Page) addHeading(n *ast.Heading, content []byte, line int, anchors map[string]int) {
	first, last := n.Lines().At(0), n.Lines().At(n.Lines().Len()-1)
	h := Heading{
		Level: n.Level,
		Text:  strings.TrimSpace(string(n.Lines().Value(content))),
		Line:  line,
		start: 1 + bytes.LastIndexByte(content[:first.Start], '\n'),
		end:   last.Stop,
	}
	anchor := anchorOf(n, content)
	h.Anchor = anchor
	if again := anchors[anchor]; again > 0 {
		h.Anchor = fmt.Sprintf("%s-%d", anchor, again)
	}
	anchors[anchor]++
	p.Headings = append(p.Headings, h)
}

func spanText(span *ast.CodeSpan, content []byte) string {
	var written strings.Builder
	for child := span.FirstChild(); child != nil; child = child.NextSibling() {
		if leaf, ok := child.(*ast.Text); ok {
			written.Write(leaf.Value(content))
		}
	}
	return strings.ReplaceAll(written.String(), "\n", " ")
}

func (p *Page) addHTML(place string, html []byte) {
	for _, match := range source.FindAllSubmatch(html, -1) {
		p.Links = append(p.Links, Link{place, string(match[1])})
	}
}

// anchorOf returns the anchor that GitHub gives a heading: its letters in lower case, digits,
// hyphens and underscores, and a hyphen for each blank.
func anchorOf(heading ast.Node, content []byte) string {
	var anchor strings.Builder
	_ = ast.Walk(heading, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		leaf, ok := n.(*ast.Text)
		if !ok || !entering {
			return ast.WalkContinue, nil
		}
		for _, r := range strings.ToLower(string(leaf.Value(content))) {
			switch {
			case r == ' ':
				anchor.WriteByte('-')
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				anchor.WriteRune(r)
			}
		}
		return ast.WalkContinue, nil
	})
	return anchor.String()
}

// section returns what is below heading i, up to the next one that is not below it.
func (p *Page) section(i int) string {
	for _, next := range p.Headings[i+1:] {
		if next.Level <= p.Headings[i].Level {
			return p.Text[p.Headings[i].end:next.start]
		}
	}
	return p.Text[p.Headings[i].end:]
}
