"""Records as arrays: prompts by draws by seeds."""
