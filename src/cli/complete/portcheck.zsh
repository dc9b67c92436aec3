#compdef portcheck
# Completions of portcheck for zsh. They ask portcheck what is there.
_portcheck() {
    local -i end=${words[(ie)--]}
    if (( end < CURRENT )); then
        # What follows is a command with files.
        shift $end words
        (( CURRENT -= end ))
        _normal
        return
    fi
    local -a found
    found=("${(@f)$(PORTCHECK_COMPLETE=zsh portcheck -- "${(@)words[1,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    [[ -n $found[1] ]] && _describe -V portcheck found
}
# It is either autoloaded as this function or read by the start-up file.
if [[ $funcstack[1] == _portcheck ]]; then
    _portcheck "$@"
else
    compdef _portcheck portcheck
fi
