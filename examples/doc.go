// Package examples holds a folder for each example, and the test that the programs and links of the
// documents work.
package examples
