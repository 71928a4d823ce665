"""Contract tests of the ports: one suite for the implementations in memory and on AWS."""
