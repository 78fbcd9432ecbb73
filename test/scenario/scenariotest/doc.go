// Package scenariotest starts the world of package scenario for tests.
package scenariotest
