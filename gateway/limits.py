"""Every limit that a caller or a workflow's author can meet, with its unit.

A value that the operator can change is a setting (gateway/settings.py). A limit that only protects a process, such as
the size of a cache, is in the module that it protects.
"""

from __future__ import annotations

KIB, MIB = 1024, 1024 * 1024

# --- AWS ---------------------------------------------------------------------------------------------------------
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MAX_API_GATEWAY_PAYLOAD_BYTES = 10 * MIB  # in both directions
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_LAMBDA_PAYLOAD_BYTES = 6_291_556  # of a synchronous call, in both directions; the number is in Lambda's error

# --- Requests ----------------------------------------------------------------------------------------------------
MAX_REQUEST_BODY_BYTES = 1 * MIB  # far below Lambda's limit; the largest graphs made by hand have some 100 KiB
MAX_CORRELATION_ID_CHARACTERS = 128
MIN_API_KEY_CHARACTERS = 16  # of the keys in API_KEYS, which people choose
MAX_API_KEY_CHARACTERS = 256
MAX_TOKEN_CHARACTERS = 4096  # of a JWT
MAX_SUBJECT_CHARACTERS = 256  # of a JWT
MAX_CREDENTIAL_NAME_CHARACTERS = 100  # the name and the owner of an API key

# --- Responses ---------------------------------------------------------------------------------------------------
MAX_LIST_BYTES = 4_000_000  # of one page; Lambda's limit holds for the encoded response
MAX_DIRECT_DOWNLOAD_BYTES = 4_000_000  # Lambda's limit holds for base64, which is a third longer
DEFAULT_PAGE_ENTRIES = 50
MAX_PAGE_ENTRIES = 200
MAX_CURSOR_CHARACTERS = 200
MAX_PROBLEMS = 100  # of one request; a megabyte of request can have any number
MAX_PROBLEM_PATH_CHARACTERS = 200
MAX_PROBLEM_MESSAGE_CHARACTERS = 300

# --- Jobs --------------------------------------------------------------------------------------------------------
MAX_WAIT_SECONDS = 25  # a request has 29 s in all
MAX_IDEMPOTENCY_KEY_CHARACTERS = 255
MAX_METADATA_ENTRIES = 50
MAX_METADATA_BYTES = 8 * KIB
MAX_CALLBACK_URL_CHARACTERS = 2048

# --- Inputs of a job ---------------------------------------------------------------------------------------------
MAX_SEED = 2**53 - 1  # the largest integer that every JSON client keeps exact
MAX_INTEGER = 2**64 - 1  # the largest that ComfyUI's nodes accept; DynamoDB stores 38 digits
MAX_INPUT_CHARACTERS = 100_000  # of one string
MAX_INPUTS_BYTES = 256 * KIB  # of all values together; a job's item may have 400 KB
MAX_MATCHED_CHARACTERS = 4_000  # of a string that is matched against a pattern

# --- Prompts -----------------------------------------------------------------------------------------------------
# A template may name one input many times, so the rendered prompt has a limit too, far above any graph made by hand.
MAX_PROMPT_BYTES = 4 * MIB
# A private job's prompt is only ever in its message, and SQS takes 1 MiB. The two characters that SQS rejects are sent
# as escapes of twice their length.
MAX_PRIVATE_PROMPT_BYTES = 500 * KIB

# --- Workflows ---------------------------------------------------------------------------------------------------
MAX_WORKFLOW_NAME_CHARACTERS = 200
MAX_WORKFLOW_DESCRIPTION_CHARACTERS = 2000
MAX_DEFAULT_PARAMS = 200
MAX_GRAPH_NODES = 2_000
MAX_GRAPH_DEPTH = 16  # containers inside a node's inputs
MAX_GRAPH_VALUES = 50_000  # in all nodes together, containers included
MAX_GRAPH_TOKENS = 10_000  # `{{`, whether or not a token follows
MAX_GRAPH_KEY_CHARACTERS = 200
MAX_NUMBER_BITS = 1024  # the largest that a float holds

# --- Input schemas -----------------------------------------------------------------------------------------------
MAX_SCHEMA_BYTES = 128 * KIB
MAX_SCHEMA_DEPTH = 16
MAX_SCHEMA_PROPERTIES = 200
# Objects and lists after every reference is replaced by its target. A pattern counts by its weight (domain/patterns).
MAX_EXPANDED_SCHEMA = 4_000
MAX_PATTERN_CHARACTERS = 500  # of each pattern
MAX_PATTERN_ESCAPES = 100  # backslashes in all patterns: the time to translate \s and the like grows with their square

# --- What a job produces -----------------------------------------------------------------------------------------
MAX_OUTPUT_NAME_CHARACTERS = 200
# Of the list of all outputs in a job's item, which may have 400 KB; every write to it pays for all of it. An output's
# name is in it twice.
MAX_OUTPUT_LIST_BYTES = 200_000
MAX_LOG_LINES = 100  # the item is written at every renewal of the lease, and each write pays for all of it
MAX_LOG_MESSAGE_CHARACTERS = 200

# --- Webhooks ----------------------------------------------------------------------------------------------------
MAX_WEBHOOK_BODY_BYTES = 20_000  # Standard Webhooks recommends it, and many receivers accept little more
MAX_DELIVERY_LOG_ATTEMPTS = 40  # an attempt takes about a hundred bytes of the job's item

# --- Models that GET /capabilities lists -------------------------------------------------------------------------
MAX_MODEL_FOLDERS = 50
MAX_MODELS_PER_FOLDER = 200
MAX_MODEL_NAME_CHARACTERS = 250  # of a model or a folder
MAX_MODEL_NAMES_BYTES = 32_000  # of all models' names together
