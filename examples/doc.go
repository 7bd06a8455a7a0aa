// Package examples holds a folder for each example, and the test that the README's programs work.
package examples
