"""The API's description: an OpenAPI document made from the code, and a page made from the document."""
