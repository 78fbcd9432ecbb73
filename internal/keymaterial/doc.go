// Package keymaterial is what key management providers tell those who read them again and again, besides what Ratify's interface has, and how they
// describe what they hold.
package keymaterial
