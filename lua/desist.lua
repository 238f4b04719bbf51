--- Cooperative cancellation: sources that may cancel, tokens that observe.
--
-- Sources, tokens, registrations, clocks and errors are made in C, in
-- `desist.core`; docs/lua-api.md describes them all. What is written in Lua
-- stands beside this file and is required by its own name.

return require "desist.core"
