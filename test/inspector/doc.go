// Package inspector drives the pages of package inspector in a headless browser, against a thousand
// live connections. It is a module of its own: the root module needs no browser.
package inspector
