# Read first by a zsh that is a job (jobs/shells.py): gives ZDOTDIR back, reads the person's own file, and has each
# command's exit code told before the next prompt.
if [[ -n ${MCP_BG_ZDOTDIR-} ]]; then
  export ZDOTDIR=$MCP_BG_ZDOTDIR
else
  unset ZDOTDIR
fi
unset MCP_BG_ZDOTDIR
if [[ -r ${ZDOTDIR:-$HOME}/.zshenv ]]; then
  source "${ZDOTDIR:-$HOME}/.zshenv"
fi
if [[ -o interactive ]]; then
  __mcp_bg_exit_code() {
    printf '\e]133;D;%s\e\\' $?
  }
  typeset -ga precmd_functions
  precmd_functions=(__mcp_bg_exit_code $precmd_functions)
fi
