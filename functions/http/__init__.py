"""What every API surface shares: router, authentication, rate limit, CORS, bodies, responses."""
